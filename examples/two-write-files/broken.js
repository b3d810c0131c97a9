// Two saves of one file at once: each opens and truncates it, and then their bytes mix.
const fs = require('node:fs').promises;
const path = `${process.env.TMPDIR}/settings.json`;

const save = (settings) => fs.writeFile(path, JSON.stringify(settings));

(async () => {
  await Promise.all([save({ theme: 'dark' }), save({ theme: 'light', size: 12 })]);
  JSON.parse(await fs.readFile(path, 'utf8'));
})();
