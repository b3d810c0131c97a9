#include "filemap/io/notify.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>

namespace filemap {

notify::notify(engine& engine) : engine_(engine), event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!event_) throw std::system_error(errno, std::system_category(), "eventfd");
}

int notify::notify_one() noexcept {
  // EAGAIN: 2^64 - 2 permits that nobody took, so there is one.
  return ::eventfd_write(event_.get(), 1) == 0 || errno == EAGAIN ? 0 : errno;
}

void notify::reset() noexcept {
  eventfd_t count = 0;
  ::eventfd_read(event_.get(), &count);
}

}  // namespace filemap
