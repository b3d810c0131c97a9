// With await the read begins when the file has been written.
const fs = require('node:fs').promises;
const path = `${process.env.TMPDIR}/package.json`;

(async () => {
  await fs.writeFile(path, JSON.stringify({ name: 'example' }));
  JSON.parse(await fs.readFile(path, 'utf8'));
})();
