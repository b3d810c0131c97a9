// Nobody awaits the promise of writeFile: the file is read while it is still empty.
const fs = require('node:fs').promises;
const path = `${process.env.TMPDIR}/package.json`;

(async () => {
  fs.writeFile(path, JSON.stringify({ name: 'example' }));
  JSON.parse(await fs.readFile(path, 'utf8'));
})();
