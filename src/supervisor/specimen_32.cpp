// What the tests of the supervisor supervise: a program of 32 bits, for x86, without a library.
//
//     specimen-32 FILE
//
// A child writes a byte while the process waits in a vfork for it. Then another and the process
// itself do, in whatever order.

namespace {

// As arch/x86/entry/syscalls/syscall_32.tbl has them.
enum call : long {
  exits = 1,
  forks = 2,
  writes = 4,
  opens = 5,
  closes = 6,
  waits = 7,
  vforks = 190
};

[[gnu::always_inline]] inline long make(call number, long first = 0, long second = 0,
                                        long third = 0) {
  long result = number;
  asm volatile("int $0x80" : "+a"(result) : "b"(first), "c"(second), "d"(third) : "memory");
  return result;
}

[[gnu::always_inline]] inline void append(long name, const char* letter) {
  constexpr long to_append = 02000 | 0100 | 1;  // O_APPEND | O_CREAT | O_WRONLY
  const auto fd = make(opens, name, to_append, 0600);
  if (make(writes, fd, reinterpret_cast<long>(letter), 1) != 1) make(exits, 9);
  make(closes, fd);
}

}  // namespace

// The stack of a new process: the number of its arguments, and them.
extern "C" [[noreturn, gnu::used]] void begin(const long* stack) {
  const long file = stack[2];
  if (make(vforks) == 0) {
    append(file, "v");
    make(exits, 0);
  }
  const auto child = make(forks);
  append(file, child == 0 ? "c" : "p");
  int status = 0;
  if (child != 0) make(waits, child, reinterpret_cast<long>(&status), 0);
  make(exits, status == 0 ? 0 : 1);
  __builtin_unreachable();
}

asm(".globl _start\n"
    "_start:\n"
    "  mov %esp, %eax\n"
    "  and $-16, %esp\n"
    "  sub $12, %esp\n"
    "  push %eax\n"
    "  call begin\n");
