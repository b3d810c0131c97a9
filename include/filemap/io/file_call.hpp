#pragma once

#include "filemap/io/op.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>

#pragma GCC visibility push(default)

namespace filemap {

/// The calls of a handle, for who tells them apart. (What a close does with what has not been
/// written is `drop_kind`.)
enum class file_call : std::uint8_t {
  write,
  read,
  seek,
  statx,
  fsync,
  fdatasync,
  sync_range,
  truncate,
  allocate,
  punch,
  drop_cache,
  clone,
  flush,
};

/// Some of the calls of a handle.
class file_calls {
 public:
  constexpr file_calls() = default;
  constexpr file_calls(std::initializer_list<file_call> calls) noexcept {
    for (const auto call : calls) bits_ |= bit(call);
  }

  constexpr bool contains(file_call call) const noexcept { return (bits_ & bit(call)) != 0; }
  constexpr file_calls with(file_call call) const noexcept { return file_calls(bits_ | bit(call)); }
  constexpr file_calls without(file_call call) const noexcept {
    return file_calls(bits_ & ~bit(call));
  }

  friend constexpr bool operator==(file_calls, file_calls) = default;

 private:
  constexpr explicit file_calls(std::uint32_t bits) noexcept : bits_(bits) {}
  static constexpr std::uint32_t bit(file_call call) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(call);
  }

  std::uint32_t bits_ = 0;
};

/// The call that makes an operation of this kind; none for what is not a handle's, and for a close.
constexpr std::optional<file_call> call_of(opcode code) noexcept {
  switch (code) {
    case opcode::read:
      return file_call::read;
    case opcode::write:
      return file_call::write;
    case opcode::fsync:
      return file_call::fsync;
    case opcode::fdatasync:
      return file_call::fdatasync;
    case opcode::statx:
      return file_call::statx;
    case opcode::truncate:
      return file_call::truncate;
    case opcode::seek:
      return file_call::seek;
    case opcode::sync_range:
      return file_call::sync_range;
    case opcode::allocate:
      return file_call::allocate;
    case opcode::punch:
      return file_call::punch;
    case opcode::drop_cache:
      return file_call::drop_cache;
    default:
      return std::nullopt;
  }
}

}  // namespace filemap

#pragma GCC visibility pop
