#pragma once

#include "filemap/litmus/test.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace filemap {

/// What somebody named is no litmus test: there is none, or it cannot be read. One line.
class no_such_test : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The test that an argument names: of the catalogue, or, when it has a '/' or ends with
/// ".litmus", of a file. Throws no_such_test, or litmus::parse_error when the file is not valid.
litmus::test load_test(const std::string& argument);

/// The file of a test of the catalogue, as it is. Throws no_such_test.
std::string_view show_test(const std::string& name);

/// The names of the catalogue and the question that each asks, one a line.
std::string list_tests();

}  // namespace filemap
