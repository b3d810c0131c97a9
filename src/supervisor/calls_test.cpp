#include "calls.hpp"

#include "config.hpp"
#include "filter.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#if FILEMAP_HAS_LIBSECCOMP
#include <seccomp.h>
#endif

namespace filemap {
namespace {

const call_row* row_named(std::string_view name) {
  const auto rows = all_calls();
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

TEST(calls, have_one_row_each) {
  std::set<std::string_view> names;
  for (const auto& row : all_calls()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.word.empty()) << row.name;
  }
}

TEST(calls, have_two_effects_only_where_they_name_two_files) {
  for (const auto& row : all_calls()) {
    const bool names_two = row.where == operands::descriptors ||
                           row.where == operands::descriptors_0_2 || row.where == operands::paths ||
                           row.where == operands::at_at || row.where == operands::cloned;
    EXPECT_EQ(row.second != effect::nothing, names_two) << row.name;
  }
}

// Else none of its order to a look at the file would be tried: a stat tells of it.
TEST(calls, about_attributes_are_about_a_file) {
  for (const auto& row : all_calls()) {
    if (row.what != peculiarity::attributes) continue;
    EXPECT_TRUE(row.first == effect::changes_file || row.first == effect::looks_at_file)
        << row.name;
  }
}

TEST(calls, of_a_condition_are_in_the_table) {
  for (const auto& one : call_conditions()) {
    EXPECT_NE(row_named(one.name), nullptr) << one.name;
    EXPECT_EQ(one.value & ~one.mask, 0U) << one.name << " could never be heard of";
    EXPECT_LT(one.argument, 6U);
  }
}

TEST(calls, that_take_a_size_have_such_an_argument) {
  for (const auto& row : all_calls()) {
    EXPECT_GE(row.size_at, -1) << row.name;
    EXPECT_LT(row.size_at, 6) << row.name;
  }
}

#if FILEMAP_HAS_LIBSECCOMP

int number_on(std::uint32_t architecture, std::string_view name) {
  return ::seccomp_syscall_resolve_name_arch(architecture, std::string(name).c_str());
}

// A name that is misspelt is none on any machine, and its call is let through in silence.
TEST(calls, are_known_to_the_kernel_of_some_machine) {
  for (const auto& row : all_calls()) {
    EXPECT_NE(number_on(SCMP_ARCH_NATIVE, row.name), __NR_SCMP_ERROR) << row.name;
  }
}

TEST(filter, tells_the_calls_of_each_architecture_apart) {
  const call_filter filter;
  const auto native = ::seccomp_arch_native();
  for (const auto& row : all_calls()) {
    const auto number = number_on(native, row.name);
    if (number < 0) continue;  // one of other machines alone
    ASSERT_NE(filter.row_of(native, number), nullptr) << row.name;
    EXPECT_EQ(filter.row_of(native, number)->name, row.name);
  }
  EXPECT_EQ(filter.row_of(native, number_on(native, "getpid")), nullptr);
  EXPECT_EQ(filter.row_of(SCMP_ARCH_S390X, number_on(SCMP_ARCH_S390X, "write")), nullptr);
  if (native == SCMP_ARCH_X86_64) {
    const auto* const row = filter.row_of(SCMP_ARCH_X86, number_on(SCMP_ARCH_X86, "write"));
    ASSERT_NE(row, nullptr);
    EXPECT_EQ(row->name, "write");
  }
}

#endif

}  // namespace
}  // namespace filemap
