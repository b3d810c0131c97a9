#include "filemap/io/notify.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>

namespace filemap {

notify::notify(engine& engine) : engine_(engine), event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!event_) throw std::system_error(errno, std::system_category(), "eventfd");
}

void notify::notify_one() noexcept {
  // Fails only with EAGAIN, at 2^64 - 2 permits that nobody took: there is one then.
  ::eventfd_write(event_.get(), 1);
}

void notify::reset() noexcept {
  eventfd_t count = 0;
  ::eventfd_read(event_.get(), &count);
}

}  // namespace filemap
