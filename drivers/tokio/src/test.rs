//! A test as it is told.

pub const VERBS: &str = "append,write,read,seek,statx,flush,fsync,fdatasync,truncate,\
                         open,clone,close,rename,unlink,notify,wait";

#[derive(Clone, Copy, Default)]
pub struct Flags {
    pub append: bool,
    pub dsync: bool,
}

pub enum Handle {
    Open(usize, Flags),
    Clone(usize),
    Same(usize),
    Later(Flags),
}

/// What is called of a File.
#[derive(Clone, Copy)]
pub enum Call {
    Write { offset: Option<u64>, data: usize }, // None: at the cursor; an append is one
    Read { offset: Option<u64>, size: usize },
    Seek { offset: u64 },
    Statx,
    Flush,
    Fsync,
    Fdatasync,
    Truncate { size: u64 },
}

#[derive(Clone, Copy)]
pub enum Operation {
    OfHandle { handle: usize, call: Call },
    Open { handle: usize, file: usize },
    Clone { handle: usize, of: usize },
    Close { handle: usize },
    Rename { from: usize, to: usize },
    Unlink { file: usize },
    Notify { edge: usize },
    Wait { edge: usize },
}

#[derive(Default)]
pub struct Test {
    pub files: Vec<String>,
    pub handles: Vec<Handle>,
    pub edges: usize,
    pub processes: Vec<Vec<Operation>>,
}

impl Test {
    /// Of the lines between `test` and `end`; an error is why it cannot be run.
    pub fn read(text: &str, longest_read: u64) -> Result<Test, String> {
        let mut test = Test::default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split(' ').collect();
            let unknown = || format!("tokio does not know the line \"{line}\"");
            match words[0] {
                "file" if words.len() == 2 => test.files.push(words[1].to_string()),
                "handle" => test.handles.push(handle(&words[1..]).ok_or_else(unknown)?),
                "edge" => test.edges += 1,
                "process" => test.processes.push(Vec::new()),
                "op" => {
                    if !VERBS.split(',').any(|verb| verb == words[1]) {
                        return Err(format!("tokio has no {}", words[1]));
                    }
                    let operation = operation(&words[1..]).ok_or_else(unknown)?;
                    if let Operation::OfHandle { call: Call::Read { size, .. }, .. } = operation {
                        if size as u64 > longest_read {
                            return Err(format!("a read of tokio takes {longest_read} bytes at most"));
                        }
                    }
                    test.processes.last_mut().ok_or_else(unknown)?.push(operation);
                }
                _ => return Err(unknown()),
            }
        }
        Ok(test)
    }
}

fn handle(words: &[&str]) -> Option<Handle> {
    let number = || words.get(1)?.parse().ok();
    Some(match words[0] {
        "open" => Handle::Open(number()?, flags(&words[2..])?),
        "clone" => Handle::Clone(number()?),
        "same" => Handle::Same(number()?),
        "later" => Handle::Later(flags(&words[1..])?),
        _ => return None,
    })
}

fn flags(words: &[&str]) -> Option<Flags> {
    let mut flags = Flags::default();
    for word in words {
        match *word {
            "append" => flags.append = true,
            "dsync" => flags.dsync = true,
            _ => return None,
        }
    }
    Some(flags)
}

fn operation(words: &[&str]) -> Option<Operation> {
    // An offset is a number or -, which is the cursor.
    let numbers: Vec<Option<u64>> = words[1..].iter().map(|word| word.parse().ok()).collect();
    let number = |at: usize| numbers.get(at).copied().flatten();
    let index = |at: usize| number(at).map(|number| number as usize);
    let call = match words[0] {
        "append" => Call::Write { offset: None, data: index(1)? },
        "write" => Call::Write { offset: number(1), data: index(2)? },
        "read" => Call::Read { offset: number(1), size: index(2)? },
        "seek" => Call::Seek { offset: number(1)? },
        "statx" => Call::Statx,
        "flush" => Call::Flush,
        "fsync" => Call::Fsync,
        "fdatasync" => Call::Fdatasync,
        "truncate" => Call::Truncate { size: number(1)? },
        "open" => return Some(Operation::Open { handle: index(0)?, file: index(1)? }),
        "clone" => return Some(Operation::Clone { handle: index(0)?, of: index(1)? }),
        "close" => return Some(Operation::Close { handle: index(0)? }),
        "rename" => return Some(Operation::Rename { from: index(0)?, to: index(1)? }),
        "unlink" => return Some(Operation::Unlink { file: index(0)? }),
        "notify" => return Some(Operation::Notify { edge: index(0)? }),
        "wait" => return Some(Operation::Wait { edge: index(0)? }),
        _ => return None,
    };
    Some(Operation::OfHandle { handle: index(0)?, call })
}
