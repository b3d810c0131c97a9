#include "filemap/io/file.hpp"

#include "duplicate.hpp"

#include <utility>

namespace filemap {

namespace {

class complete_file final : public file {
 public:
  complete_file(engine& engine, unique_fd fd) noexcept : engine_(engine), fd_(std::move(fd)) {}

  task<io_result> write(std::int64_t position, std::span<const std::byte> data,
                        io_record* record) override {
    const auto result = co_await perform(engine_, io_request::write(fd(), position, data), record);
    co_return result;
  }
  task<io_result> read(std::int64_t position, std::span<std::byte> into,
                       io_record* record) override {
    const auto result = co_await perform(engine_, io_request::read(fd(), position, into), record);
    co_return result;
  }
  task<io_result> sync(sync_kind kind, io_record* record) override {
    const auto request =
        kind == sync_kind::fsync ? io_request::fsync(fd()) : io_request::fdatasync(fd());
    const auto result = co_await perform(engine_, request, record);
    co_return result;
  }
  task<io_result> stat(struct statx& into, io_record* record) override {
    const auto result = co_await perform(engine_, io_request::statx(fd(), into), record);
    co_return result;
  }
  task<io_result> truncate(std::int64_t length, io_record* record) override {
    const auto result = co_await perform(engine_, io_request::truncate(fd(), length), record);
    co_return result;
  }
  task<io_result> seek(std::int64_t offset) override {
    const auto result = co_await perform(engine_, io_request::seek(fd(), offset));
    co_return result;
  }
  task<io_result> flush() override { co_return io_result{0}; }
  task<io_result> apply(io_request request, io_record* record) override {
    request.fd = fd();
    const auto result = co_await perform(engine_, request, record);
    co_return result;
  }
  task<> settle() override { co_return; }
  task<io_result> drop() override { co_return io_result{0}; }
  // The number is given up before the kernel takes it, so that no later call can hit whoever gets
  // it next: those are given -1, which no file has.
  task<io_result> close(io_record* record) override {
    auto request = io_request::close(fd_.release());
    request.mandatory = true;
    const auto result = co_await perform(engine_, request, record);
    co_return result;
  }
  task<std::unique_ptr<file>> clone() override {
    co_return std::make_unique<complete_file>(engine_, duplicate(fd_));
  }

  int fd() const noexcept override { return fd_.get(); }

 private:
  engine& engine_;
  unique_fd fd_;
};

}  // namespace

std::unique_ptr<file> make_complete_file(engine& engine, unique_fd fd) {
  return std::make_unique<complete_file>(engine, std::move(fd));
}

}  // namespace filemap
