/* Runs verify.html's engine under node: vectors come a line each on standard input, answers leave a line each. */
"use strict";

const fs = require("fs"), vm = require("vm"), path = require("path"), readline = require("readline");

const page = fs.readFileSync(process.argv[2], "utf8");
const scripts = Array.from(page.matchAll(/<script id="([a-z0-9]+)">([\s\S]*?)<\/script>/g)).filter((each) => each[1] !== "page");
vm.runInThisContext(scripts.map((each) => each[2]).join("\n"), {filename: process.argv[2]});
vm.runInThisContext(fs.readFileSync(path.join(__dirname, "driver.js"), "utf8"), {filename: "driver.js"});

(async () => {
  for await (const line of readline.createInterface({input: process.stdin, crlfDelay: Infinity})) {
    process.stdout.write(JSON.stringify(await V.answer(JSON.parse(line))) + "\n");
  }
})();
