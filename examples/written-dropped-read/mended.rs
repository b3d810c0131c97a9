//! flush waits until what was written has been written.

use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let path = std::env::temp_dir().join("letter");
    let mut file = File::create(&path).await?;
    file.write_all(b"dear reader").await?;
    file.flush().await?;
    drop(file);
    assert_eq!(fs::read_to_string(&path).await?, "dear reader");
    Ok(())
}
