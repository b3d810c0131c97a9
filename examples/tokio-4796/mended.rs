//! The writer flushes before it tells the others: then the append has come to the file.

use std::sync::Arc;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio::sync::Notify;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let path = std::env::temp_dir().join("data");
    let mut appended = OpenOptions::new().create(true).read(true).append(true).open(&path).await?;
    let (synced, mut read) = (appended.try_clone().await?, appended.try_clone().await?);
    let (written, durable) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (to_sync, to_read) = (written.clone(), durable.clone());
    let writer = tokio::spawn(async move {
        appended.write_all(&[b'x'; 123]).await.unwrap();
        appended.flush().await.unwrap();
        written.notify_one();
    });
    let flusher = tokio::spawn(async move {
        to_sync.notified().await;
        synced.sync_all().await.unwrap();
        durable.notify_one();
    });
    let reader = tokio::spawn(async move {
        to_read.notified().await;
        assert_eq!(read.metadata().await.unwrap().len(), 123);
        read.seek(SeekFrom::Start(0)).await.unwrap();
        let mut data = Vec::new();
        read.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, [b'x'; 123]);
    });
    tokio::try_join!(writer, flusher, reader)?;
    Ok(())
}
