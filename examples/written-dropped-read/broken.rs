//! tokio's write_all returns when the bytes are in a buffer, and another thread writes them. Dropping
//! the file does not wait for that thread, so who reads it by its name may find it empty.

use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let path = std::env::temp_dir().join("letter");
    let mut file = File::create(&path).await?;
    file.write_all(b"dear reader").await?;
    drop(file);
    assert_eq!(fs::read_to_string(&path).await?, "dear reader");
    Ok(())
}
