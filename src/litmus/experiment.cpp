#include "filemap/litmus/experiment.hpp"

#include <algorithm>
#include <utility>

namespace filemap::litmus {

namespace {

statement on(verb what, std::uint8_t operand) {
  statement made;
  made.what = what;
  made.operand = operand;
  return made;
}

}  // namespace

test tokio_4796(const experiment_options& options) {
  enum handles : std::uint8_t { w, s, r };
  enum variables : std::uint8_t { write_offset, flush_offset };
  enum edges : std::uint8_t { written, flushed };

  test made;
  made.name = "tokio-4796";
  made.question = "does a reader see what was written, fsynced and notified?";
  made.patterns = {"zeros", "lorem"};
  made.files = {{"f", true, {}}};
  const auto other = options.handles == handle_kind::clone    ? handle_origin::clone
                     : options.handles == handle_kind::shared ? handle_origin::same
                                                              : handle_origin::open;
  made.handles = {{"w", handle_origin::open}, {"s", other}, {"r", other}};
  for (auto& handle : made.handles) handle.append = true;
  made.edges = {"written", "flushed"};
  made.variables = {"write_offset", "flush_offset"};

  process_declaration writer{"writer", {}, {}, options.writes};
  auto append = on(verb::append, w);
  append.data = {1, 0, options.size};
  append.relative = true;
  writer.body = {append, on(verb::store, write_offset), on(verb::notify, written)};

  process_declaration flusher{"flusher", {}, {}, 0};
  flusher.body = {on(verb::wait, written), on(verb::load, write_offset)};
  if (options.sync == flusher_sync::fsync) flusher.body.push_back(on(verb::fsync, s));
  if (options.sync == flusher_sync::fdatasync) flusher.body.push_back(on(verb::fdatasync, s));
  flusher.body.push_back(on(verb::store, flush_offset));
  flusher.body.push_back(on(verb::notify, flushed));

  process_declaration reader{"reader", {}, {}, 0};
  auto read = on(verb::read, r);
  read.size = options.total();
  read.relative = true;
  reader.body = {on(verb::wait, flushed), on(verb::load, flush_offset), on(verb::statx, r), read,
                 on(verb::check, 0)};

  made.processes = {std::move(writer), std::move(flusher), std::move(reader)};
  return made;
}

bool checks_itself(const test& test) noexcept {
  return std::any_of(test.processes.begin(), test.processes.end(), [](const auto& process) {
    return std::any_of(process.body.begin(), process.body.end(),
                       [](const statement& step) { return step.what == verb::check; });
  });
}

}  // namespace filemap::litmus
