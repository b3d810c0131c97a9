#include "lineage.hpp"

#include "forked.hpp"
#include "testing.hpp"
#include "thread_view.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

// One that has two children, oldest first.
class family {
 public:
  const forked parent{[] {
    for (int i = 0; i < 2; ++i) {
      if (::fork() != 0) continue;
      pause_for_good();
    }
    pause_for_good();
  }};
  std::vector<pid_t> children;

  family() {
    EXPECT_TRUE(eventually([&] { return children_of(parent.process()).size() == 2; }));
    children = children_of(parent.process());
    std::sort(children.begin(), children.end());
  }
};

TEST(lineage, names_children_in_the_order_in_which_they_were_made) {
  const family all;
  lineage names(::getpid());
  EXPECT_EQ(names.name_of(all.parent.process()), "0");
  names.forks(all.parent.process());
  names.forks(all.parent.process());
  EXPECT_EQ(names.name_of(all.children[0]), "0.0");
  EXPECT_EQ(names.name_of(all.children[1]), "0.1");
}

TEST(lineage, does_not_depend_on_which_child_is_heard_of_first) {
  const family all;
  lineage names(::getpid());
  EXPECT_EQ(names.name_of(all.parent.process()), "0");
  names.forks(all.parent.process());
  names.forks(all.parent.process());
  EXPECT_EQ(names.name_of(all.children[1]), "0.1");
  EXPECT_EQ(names.name_of(all.children[0]), "0.0");
  EXPECT_EQ(names.name_of(all.children[1]), "0.1");  // once given it stays
}

TEST(lineage, of_one_whose_parent_is_not_known_says_only_that_it_came) {
  const family all;
  lineage names(::getpid());
  EXPECT_EQ(names.name_of(all.parent.process()), "0");
  EXPECT_EQ(names.name_of(all.children[0]), "?0");  // nobody said that it would be made
  EXPECT_EQ(names.name_of(1), "?1");
}

}  // namespace
}  // namespace filemap
