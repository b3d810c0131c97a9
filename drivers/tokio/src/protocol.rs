//! Lines in, lines out, and the clock that they speak of.

use std::io::{self, BufRead, Write};
use std::process::exit;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::Duration;

static UNSAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Is written out by write_out(), or soon.
pub fn say(line: &str) {
    let mut unsaid = UNSAID.lock().unwrap();
    unsaid.extend_from_slice(line.as_bytes());
    unsaid.push(b'\n');
}

pub fn write_out() {
    let mut unsaid = UNSAID.lock().unwrap();
    let mut output = io::stdout().lock();
    if output.write_all(&unsaid).and_then(|()| output.flush()).is_err() {
        exit(1); // nobody listens
    }
    unsaid.clear();
}

pub fn give_up(text: &str) -> ! {
    say(&format!("error {}", text.replace('\n', " ")));
    write_out();
    exit(1)
}

/// What is told, a line each; a test is one, from `test` to the line before `end`. The threads read and
/// write beside the rounds, of which one may never end.
pub fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut in_batch = false;
        let mut test = None;
        for line in io::stdin().lock().lines() {
            let line = line.unwrap_or_else(|error| give_up(&error.to_string()));
            if line.starts_with("test ") {
                test = Some(line);
            } else if line == "end" {
                sender.send(test.take().unwrap_or(line)).unwrap();
            } else if let Some(test) = &mut test {
                *test += "\n";
                *test += &line;
            } else {
                in_batch = line.starts_with("run ");
                sender.send(line).unwrap();
            }
        }
        if in_batch {
            exit(0); // the end of the input ends a batch too
        }
    });
    thread::spawn(|| loop {
        thread::sleep(Duration::from_millis(100)); // the protocol allows 250
        write_out();
    });
    receiver
}

/// CLOCK_MONOTONIC in nanoseconds; std's Instant does not tell.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the timespec, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS[value as usize] as char;
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    bytes.unwrap_or_else(|| give_up("the data that it was told is not hexadecimal"))
}
