module filemap-uring/drivers/go

go 1.19
