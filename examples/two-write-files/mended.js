// Each save waits for the one before it.
const fs = require('node:fs').promises;
const path = `${process.env.TMPDIR}/settings.json`;

let last = Promise.resolve();
const save = (settings) => (last = last.then(() => fs.writeFile(path, JSON.stringify(settings))));

(async () => {
  await Promise.all([save({ theme: 'dark' }), save({ theme: 'light', size: 12 })]);
  JSON.parse(await fs.readFile(path, 'utf8'));
})();
