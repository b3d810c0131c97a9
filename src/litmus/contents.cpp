#include "filemap/litmus/contents.hpp"

#include <algorithm>
#include <utility>

namespace filemap::litmus {

namespace {

bool has_no_offset(std::uint16_t pattern) noexcept {
  return pattern == zeros || pattern == unknown_bytes;
}

pattern_place moved(pattern_place place, std::uint64_t by) noexcept {
  if (!has_no_offset(place.pattern)) place.offset += by;
  return place;
}

bool continues(const slice& last, const slice& next) {
  if (moved(last.place(), last.size) != next.place()) return false;
  return std::equal(
      last.or_from.begin(), last.or_from.end(), next.or_from.begin(), next.or_from.end(),
      [&](pattern_place before, pattern_place after) { return moved(before, last.size) == after; });
}

slice part_of(const slice& whole, std::uint64_t from, std::uint64_t size) {
  slice part = whole;
  part.offset = moved(whole.place(), from).offset;
  part.size = size;
  for (auto& place : part.or_from) place = moved(place, from);
  return part;
}

}  // namespace

void contents::append(slice next) {
  if (next.size == 0) return;
  if (has_no_offset(next.pattern)) next.offset = 0;
  size_ += next.size;
  auto& slices = own();
  if (!slices.empty() && continues(slices.back(), next)) {
    slices.back().size += next.size;
  } else {
    slices.push_back(std::move(next));
  }
}

std::vector<slice>& contents::own() {
  if (slices_ == nullptr) {
    slices_ = std::make_shared<std::vector<slice>>();
  } else if (slices_.use_count() > 1) {
    slices_ = std::make_shared<std::vector<slice>>(*slices_);
  }
  return *slices_;
}

std::strong_ordering operator<=>(const contents& a, const contents& b) noexcept {
  const auto left = a.slices();
  const auto right = b.slices();
  const auto order =
      std::lexicographical_compare_three_way(left.begin(), left.end(), right.begin(), right.end());
  return order != 0 ? order : a.size_ <=> b.size_;
}

void contents::append(const contents& more) {
  for (const auto& slice : more.slices()) append(slice);
}

contents contents::read(std::uint64_t offset, std::uint64_t size) const {
  contents part;
  const auto end = size > size_ ? size_ : std::min(offset + size, size_);
  std::uint64_t begin = 0;
  for (const auto& slice : slices()) {
    const auto from = std::max(begin, offset);
    const auto to = std::min(begin + slice.size, end);
    if (from < to) part.append(part_of(slice, from - begin, to - from));
    begin += slice.size;
  }
  return part;
}

contents contents::mixed(const contents& one, const contents& other) {
  contents mixture;
  for (std::uint64_t at = 0; at < one.size();) {
    const auto left = one.read(at, one.size()).slices().front();
    const auto right = other.read(at, other.size()).slices().front();
    std::vector<pattern_place> places = left.or_from;
    places.push_back(left.place());
    places.push_back(right.place());
    places.insert(places.end(), right.or_from.begin(), right.or_from.end());
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    slice both{places.front().pattern, places.front().offset, std::min(left.size, right.size)};
    both.or_from.assign(places.begin() + 1, places.end());
    at += both.size;
    mixture.append(std::move(both));
  }
  return mixture;
}

bool contents::may_be(const contents& bytes) const {
  if (size_ != bytes.size_) return false;
  std::uint64_t begin = 0;
  for (const auto& slice : slices()) {
    std::uint64_t within = 0;
    const auto here = bytes.read(begin, slice.size);
    for (const auto& part : here.slices()) {
      const auto gives = [&](pattern_place place) { return moved(place, within) == part.place(); };
      if (part.is_mixture() || !(gives(slice.place()) ||
                                 std::any_of(slice.or_from.begin(), slice.or_from.end(), gives))) {
        return false;
      }
      within += part.size;
    }
    begin += slice.size;
  }
  return true;
}

void contents::write(std::uint64_t offset, const slice& data) {
  if (data.size == 0) return;
  auto rest = read(offset + data.size, size_);
  resize(offset);
  append(data);
  append(rest);
}

void contents::resize(std::uint64_t size) {
  if (size > size_) {
    append({zeros, 0, size - size_});
  } else if (size < size_) {
    *this = read(0, size);
  }
}

void contents::punch(std::uint64_t offset, std::uint64_t size) {
  if (offset >= size_) return;
  write(offset, {zeros, 0, std::min(size, size_ - offset)});
}

}  // namespace filemap::litmus
