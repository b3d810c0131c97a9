#!/usr/bin/env node
// A driver (docs/drivers.md) for Node: litmus tests with the FileHandle of fs.promises.
//
//     node drivers/node/driver.js
//
// A promise of fs settles when its system call has returned: ack=complete. UV_THREADPOOL_SIZE and
// UV_USE_IO_URING are libuv's, and mean here what they mean in any program.
'use strict';

const fs = require('fs');
const os = require('os');
const readline = require('readline');

const EBADF = -os.constants.errno.EBADF;
const FLAGS = { append: fs.constants.O_APPEND, dsync: fs.constants.O_DSYNC };

const now = () => process.hrtime.bigint(); // CLOCK_MONOTONIC, as libuv has it

// --- what is said

let unsaid = '';

function flush() {
  if (unsaid !== '') process.stdout.write(unsaid);
  unsaid = '';
}

function say(line) {
  unsaid += line + '\n';
  if (unsaid.length > 65536) flush();
}

// --- the test

class Cannot extends Error {}

class Test {
  files = [];
  handles = []; // { how, arguments }
  edges = 0;
  processes = []; // of each its operations: { verb, arguments }

  add(words) {
    const [what, first, ...rest] = words;
    if (what === 'file') this.files.push(first);
    else if (what === 'handle') this.addHandle(first, rest);
    else if (what === 'edge') this.edges += 1;
    else if (what === 'process') this.processes.push([]);
    else if (what === 'op') this.addOperation(first, rest);
    else throw new Cannot(`node does not know the line "${words.join(' ')}"`);
  }

  addHandle(how, rest) {
    const numbers = how === 'later' ? 0 : 1; // a file or a handle, then flags
    for (const flag of rest.slice(numbers)) {
      if (!(flag in FLAGS)) throw new Cannot(`node has no flag ${flag}`);
    }
    const flags = rest.slice(numbers).reduce((all, flag) => all | FLAGS[flag], fs.constants.O_RDWR);
    this.handles.push({ how, of: Number(rest[0]), flags });
  }

  addOperation(verb, rest) {
    if (!Object.hasOwn(verbs, verb)) throw new Cannot(`node has no ${verb}`);
    // Without an offset the position is null, with which Node reads and writes at the cursor.
    const operands = rest.map((word) => (word === '-' ? null : Number(word)));
    this.processes.at(-1).push({ verb, operands });
  }
}

// --- a round

class Edge {
  permit = false;
  waiting = null;

  notify() {
    if (this.waiting === null) this.permit = true;
    else this.waiting();
    this.waiting = null;
  }

  async wait() {
    if (!this.permit) await new Promise((resolve) => (this.waiting = resolve));
    this.permit = false;
  }
}

class Failed extends Error {
  constructor(errno) {
    super();
    this.errno = errno;
  }
}

class Round {
  constructor(test, data, prefix) {
    this.test = test;
    this.data = data;
    this.prefix = prefix;
    this.edges = Array.from({ length: test.edges }, () => new Edge());
    this.slots = []; // of each handle: { flags, shared }; one slot has as many names as `same` gives it
  }

  path(file) {
    return this.prefix + this.test.files[file];
  }

  // What is closed is known to be, and is not called.
  file(handle) {
    const { shared } = this.slots[handle];
    if (shared === null) throw new Failed(EBADF);
    return shared.file;
  }

  async open(slot, file) {
    slot.shared = { file: await fs.promises.open(this.path(file), slot.flags), users: 1 };
  }

  // Node cannot dup: who wants a second handle in a program shares the FileHandle, and the last one to
  // give it up closes it.
  clone(slot, of) {
    if (of.shared === null) throw new Failed(EBADF);
    slot.shared = of.shared;
    slot.shared.users += 1;
  }

  async close(slot) {
    const { shared } = slot;
    if (shared === null) throw new Failed(EBADF);
    slot.shared = null;
    shared.users -= 1;
    if (shared.users === 0) await shared.file.close();
  }

  async begin() {
    for (const { how, of, flags } of this.test.handles) {
      this.slots.push(how === 'same' ? this.slots[of] : { flags, shared: null });
      if (how === 'open') await this.open(this.slots.at(-1), of);
      if (how === 'clone') this.clone(this.slots.at(-1), this.slots[of]);
    }
  }

  async process(operations, began) {
    const results = [];
    for (const { verb, operands } of operations) {
      const begun = now() - began;
      const value = await verbs[verb](this, ...operands).then(told, toldFailure);
      results.push({ value, time: `${begun}:${now() - began}` });
    }
    return results;
  }

  // The results of all operations, in the order of the test.
  async run(number) {
    await this.begin();
    const { processes } = this.test;
    const running = [];
    const began = now();
    // Which one is started first goes round: the order of the text means nothing.
    for (let i = 0; i < processes.length; ++i) {
      const which = (number + i) % processes.length;
      running[which] = this.process(processes[which], began);
    }
    const results = (await Promise.all(running)).flat();
    const ended = now();
    for (const slot of this.slots) {
      if (slot.shared !== null) await this.close(slot).catch(() => {}); // nobody asks any more
    }
    return { began, ended, results };
  }
}

function told(value) {
  return Buffer.isBuffer(value) ? 'x' + value.toString('hex') : String(value ?? 0);
}

function toldFailure(error) {
  if (typeof error.errno === 'number') return String(error.errno);
  return '~' + (os.constants.errno[error.code] ?? ''); // Node's own error: it has a name only
}

async function writeAll(file, data, position) {
  let done = 0;
  while (done < data.length) {
    const at = position === null ? null : position + done;
    done += (await file.write(data, done, data.length - done, at)).bytesWritten;
  }
  return done;
}

// What each does; what it returns or throws is its value.
const verbs = {
  append: async (round, handle, data) => writeAll(round.file(handle), round.data[data], null),
  write: async (round, handle, offset, data) => writeAll(round.file(handle), round.data[data], offset),
  read: async (round, handle, offset, size) => {
    const { buffer, bytesRead } = await round.file(handle).read(Buffer.alloc(size), 0, size, offset);
    return buffer.subarray(0, bytesRead);
  },
  statx: async (round, handle) => (await round.file(handle).stat()).size,
  flush: async (round, handle) => void round.file(handle), // there is none: nothing is held back
  fsync: async (round, handle) => round.file(handle).sync(),
  fdatasync: async (round, handle) => round.file(handle).datasync(),
  truncate: async (round, handle, size) => round.file(handle).truncate(size),
  open: async (round, handle, file) => round.open(round.slots[handle], file),
  clone: async (round, handle, of) => round.clone(round.slots[handle], round.slots[of]),
  close: async (round, handle) => round.close(round.slots[handle]),
  rename: async (round, from, to) => fs.promises.rename(round.path(from), round.path(to)),
  unlink: async (round, file) => fs.promises.unlink(round.path(file)),
  notify: async (round, edge) => round.edges[edge].notify(),
  wait: async (round, edge) => round.edges[edge].wait(),
};

// --- the protocol

let running = false;
let test = null;
let told_so_far = null; // of a test that is being told: its lines
const data = [];

async function runBatch(count, directory) {
  running = true;
  const states = new Map();
  for (let k = 0; k < count; ++k) {
    const { began, ended, results } = await new Round(test, data, `${directory}/${k}.`).run(k);
    const state = results.map(({ value }) => value).join(' ');
    if (!states.has(state)) {
      states.set(state, states.size);
      say(`state ${states.get(state)} ${state}`);
    }
    say(`round ${k} ${states.get(state)} ${began} ${ended} ${results.map(({ time }) => time).join(' ')}`);
  }
  say('done');
  running = false;
}

function readTest(lines) {
  try {
    test = new Test();
    for (const words of lines) test.add(words);
    say('ready');
  } catch (error) {
    if (!(error instanceof Cannot)) throw error;
    say(`cannot ${error.message}`);
  }
}

async function handle(line) {
  const words = line.split(' ');
  if (told_so_far !== null && words[0] !== 'end') {
    told_so_far.push(words);
  } else if (words[0] === 'end') {
    readTest(told_so_far);
    told_so_far = null;
  } else if (words[0] === 'hello') {
    const claims = [`verbs=${Object.keys(verbs)}`, `flags=${Object.keys(FLAGS)}`, 'ack=complete', 'cursor=positional'];
    say(['hello 1 node', process.versions.node, ...claims].join(' '));
  } else if (words[0] === 'test') {
    told_so_far = [];
  } else if (words[0] === 'data') {
    data[Number(words[1])] = Buffer.from(words[2] ?? '', 'hex');
  } else if (words[0] === 'run') {
    await runBatch(Number(words[1]), words[2]);
  } else {
    throw new Error(`it was told "${line.slice(0, 80)}"`);
  }
  if (words[0] !== 'data') flush();
}

// --- main

setInterval(flush, 100).unref(); // the protocol allows 250 ms
let before = Promise.resolve();
readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    before = before.then(() => handle(line));
    before.catch((error) => {
      say(`error ${String(error.message).split('\n')[0]}`);
      flush();
      process.exit(1);
    });
  })
  .on('close', () => {
    if (running) process.exit(0); // also of a round that never ends
    before.then(() => process.exit(0));
  });
