#include "advice.hpp"

#include "filemap/explore/exploration.hpp"

#include <cerrno>
#include <new>
#include <system_error>

#include <fmt/format.h>

namespace filemap {

std::string_view advice_on(int error) noexcept {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space or choose another --dir";
    case EFBIG:
      return "; raise the limit on file sizes (ulimit -f) or use a smaller --size";
    case EMFILE:
      return "; raise the limit on open files (ulimit -n), or use fewer --lanes if there are many";
    case ENFILE:
      return "; raise fs.file-max or use fewer --lanes";
    case ENOMEM:
      return "; use a smaller --size or fewer --writes or --lanes";
    case ECANCELED:  // by nobody else: the ring could start no thread to carry it out
      return "; raise the limit on processes (ulimit -u)";
    default:
      return "";
  }
}

std::string describe_failed_operation(const litmus::observation& seen,
                                      const std::filesystem::path& dir) {
  return fmt::format("{} failed in {}: {}{}", to_string(seen.failed), dir.string(), reason_of(seen),
                     seen.error == 0 ? "; is the filesystem full?" : advice_on(seen.error));
}

std::string describe_failure(const std::exception_ptr& failure, const std::filesystem::path& dir) {
  try {
    std::rethrow_exception(failure);
  } catch (const litmus::operation_failed& error) {
    return describe_failed_operation(error.seen(), dir);
  } catch (const std::system_error& error) {
    return fmt::format("{}{}", error.what(), advice_on(error.code().value()));
  } catch (const std::bad_alloc&) {
    return "out of memory; explore fewer tests or modes at once, or use a smaller --size";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace filemap
