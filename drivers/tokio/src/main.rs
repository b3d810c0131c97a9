//! A driver (docs/drivers.md) for tokio: litmus tests with tokio::fs::File, each process a task.
//!
//! A write returns when its bytes are queued for the blocking pool: ack=queued. There are no offsets: a
//! read or write at one is a seek and then a read or write at the cursor, which clones share.

mod protocol;
mod test;

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::sync::Arc;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Notify};

use protocol::{give_up, now, say};
use test::{Flags, Handle, Operation, Test};

const VERSION: &str = env!("TOKIO_VERSION"); // build.rs

/// What a version does (tokio/src/fs/file.rs, tokio/src/io/blocking.rs): bytes that one write queues, which
/// are also the most that one read takes, and whether a clone waits for the write in flight.
fn of_version() -> (u64, bool) {
    let minor = VERSION.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX);
    (if minor <= 24 { 16 << 10 } else { 2 << 20 }, minor >= 29)
}

fn greeting() -> String {
    let (chunk, clone_waits) = of_version();
    format!(
        "hello 1 tokio {VERSION} verbs={} flags=append,dsync ack=queued chunk={chunk} cursor=shared drop=runs \
         waits=append,write,read,seek,flush,fsync,fdatasync,truncate{}",
        test::VERBS,
        if clone_waits { ",clone" } else { "" }
    )
}

// --- a round

/// A handle of the test, under as many names as `same` gives it. Processes that share one lock it, as
/// every method of File takes it for itself.
struct Slot {
    flags: Flags,
    file: Mutex<Option<File>>,
}

struct Round {
    test: Arc<Test>,
    data: Arc<Vec<Vec<u8>>>,
    prefix: String,
    slots: Vec<Arc<Slot>>,
    edges: Vec<Notify>, // notify_one leaves one permit at most
}

enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

struct Told {
    value: String,
    begun: u64,
    ended: u64,
}

fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

impl Round {
    async fn begin(test: &Arc<Test>, data: &Arc<Vec<Vec<u8>>>, prefix: String) -> io::Result<Round> {
        let edges = (0..test.edges).map(|_| Notify::new()).collect();
        let mut round = Round { test: test.clone(), data: data.clone(), prefix, slots: Vec::new(), edges };
        for handle in &test.handles {
            let (flags, file) = match *handle {
                Handle::Same(of) => {
                    round.slots.push(round.slots[of].clone());
                    continue;
                }
                Handle::Open(file, flags) => (flags, Some(round.open(file, flags).await?)),
                Handle::Clone(of) => (Flags::default(), Some(round.clone_of(of).await?)),
                Handle::Later(flags) => (flags, None),
            };
            round.slots.push(Arc::new(Slot { flags, file: Mutex::new(file) }));
        }
        Ok(round)
    }

    fn path(&self, file: usize) -> String {
        format!("{}{}", self.prefix, self.test.files[file])
    }

    async fn open(&self, file: usize, flags: Flags) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).append(flags.append);
        options.custom_flags(if flags.dsync { libc::O_DSYNC } else { 0 });
        options.open(self.path(file)).await
    }

    async fn clone_of(&self, of: usize) -> io::Result<File> {
        self.slots[of].file.lock().await.as_ref().ok_or_else(closed)?.try_clone().await
    }

    async fn call(&self, operation: Operation) -> io::Result<Value> {
        match operation {
            Operation::Open { handle, file } => {
                let opened = self.open(file, self.slots[handle].flags).await?;
                *self.slots[handle].file.lock().await = Some(opened);
            }
            Operation::Clone { handle, of } => {
                let cloned = self.clone_of(of).await?;
                *self.slots[handle].file.lock().await = Some(cloned);
            }
            Operation::Close { handle } => {
                let file = self.slots[handle].file.lock().await.take();
                drop(file.ok_or_else(closed)?); // tokio has no other way to close one
            }
            Operation::Rename { from, to } => fs::rename(self.path(from), self.path(to)).await?,
            Operation::Unlink { file } => fs::remove_file(self.path(file)).await?,
            Operation::Notify { edge } => self.edges[edge].notify_one(),
            Operation::Wait { edge } => self.edges[edge].notified().await,
            Operation::OfHandle { handle, call } => {
                let mut file = self.slots[handle].file.lock().await;
                return self.call_file(file.as_mut().ok_or_else(closed)?, call).await;
            }
        }
        Ok(Value::Number(0))
    }

    async fn call_file(&self, file: &mut File, call: test::Call) -> io::Result<Value> {
        match call {
            test::Call::Write { offset, data } => {
                if let Some(offset) = offset {
                    file.seek(SeekFrom::Start(offset)).await?;
                }
                file.write_all(&self.data[data]).await?;
                return Ok(Value::Number(self.data[data].len() as u64));
            }
            test::Call::Read { offset, size } => {
                if let Some(offset) = offset {
                    file.seek(SeekFrom::Start(offset)).await?;
                }
                let mut bytes = vec![0; size];
                let got = file.read(&mut bytes).await?;
                bytes.truncate(got);
                return Ok(Value::Bytes(bytes));
            }
            test::Call::Seek { offset } => drop(file.seek(SeekFrom::Start(offset)).await?),
            test::Call::Statx => return Ok(Value::Number(file.metadata().await?.len())),
            test::Call::Flush => file.flush().await?,
            test::Call::Fsync => file.sync_all().await?,
            test::Call::Fdatasync => file.sync_data().await?,
            test::Call::Truncate { size } => file.set_len(size).await?,
        }
        Ok(Value::Number(0))
    }
}

async fn process(round: Arc<Round>, which: usize, began: u64) -> Vec<Told> {
    let mut all = Vec::new();
    for &operation in &round.test.processes[which] {
        let begun = now() - began;
        let result = round.call(operation).await;
        let ended = now() - began;
        all.push(Told { value: told(result), begun, ended });
    }
    all
}

fn told(result: io::Result<Value>) -> String {
    match result {
        Ok(Value::Number(number)) => number.to_string(),
        Ok(Value::Bytes(bytes)) => format!("x{}", protocol::hex(&bytes)),
        Err(error) => match error.raw_os_error() {
            Some(errno) => format!("-{errno}"),
            None => format!("~{}", errno_of_kind(error.kind())),
        },
    }
}

/// File keeps of a write that failed in flight only the kind. By name: some kinds have no stable one in older
/// Rust.
fn errno_of_kind(kind: io::ErrorKind) -> &'static str {
    match format!("{kind:?}").as_str() {
        "NotFound" => "2",
        "OutOfMemory" => "12",
        "PermissionDenied" => "13",
        "InvalidInput" => "22",
        "FileTooLarge" => "27",
        "StorageFull" => "28",
        "ReadOnlyFilesystem" => "30",
        "QuotaExceeded" | "FilesystemQuotaExceeded" => "122",
        _ => "",
    }
}

/// The values, and the rest of the line of the round.
async fn run_round(
    test: &Arc<Test>,
    data: &Arc<Vec<Vec<u8>>>,
    number: usize,
    folder: &str,
) -> (String, String) {
    let prefix = format!("{folder}/{number}.");
    let round = match Round::begin(test, data, prefix).await {
        Ok(round) => Arc::new(round),
        Err(error) => give_up(&format!("it cannot begin round {number}: {error}")),
    };
    let count = test.processes.len();
    let mut running: Vec<_> = (0..count).map(|_| None).collect();
    let began = now();
    // Which one is started first goes round: the order of the text means nothing.
    for which in (0..count).map(|i| (number + i) % count) {
        running[which] = Some(tokio::spawn(process(round.clone(), which, began)));
    }
    let (mut values, mut times) = (Vec::new(), String::new());
    for task in running.into_iter().flatten() {
        match task.await {
            Ok(all) => all.into_iter().for_each(|Told { value, begun, ended }| {
                values.push(value);
                times += &format!(" {begun}:{ended}");
            }),
            Err(error) => give_up(&format!("a process of round {number} has ended: {error}")),
        }
    }
    (values.join(" "), format!("{began} {}{times}", now()))
} // the handles that are still open are dropped

async fn run_batch(test: Arc<Test>, data: Arc<Vec<Vec<u8>>>, count: usize, folder: String) {
    let mut states = HashMap::new();
    for number in 0..count {
        let (values, times) = run_round(&test, &data, number, &folder).await;
        let next = states.len();
        let state = *states.entry(values).or_insert_with_key(|values| {
            say(&format!("state {next} {values}"));
            next
        });
        say(&format!("round {number} {state} {times}"));
    }
    say("done");
}

fn main() {
    let runtime = Runtime::new().unwrap(); // of many threads, as of #[tokio::main]
    let mut test = None;
    let mut data = Vec::new();
    for line in protocol::lines() {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("hello", _) => say(&greeting()),
            ("test", lines) => match Test::read(lines, of_version().0) {
                Ok(read) => {
                    test = Some(Arc::new(read));
                    say("ready");
                }
                Err(reason) => say(&format!("cannot {reason}")),
            },
            ("data", rest) => {
                let (number, hex) = rest.split_once(' ').unwrap_or((rest, ""));
                let number: usize = number.parse().unwrap();
                data.resize(data.len().max(number + 1), Vec::new());
                data[number] = protocol::bytes(hex);
                continue;
            }
            ("run", rest) => {
                let (count, folder) = rest.split_once(' ').unwrap();
                let test = test.clone().unwrap_or_else(|| give_up("it was told to run, and no test"));
                let batch =
                    run_batch(test, Arc::new(data.clone()), count.parse().unwrap(), folder.to_string());
                runtime.block_on(batch);
            }
            _ => give_up(&format!("it was told \"{line}\"")),
        }
        protocol::write_out();
    }
}
