#include "codec/json_trail_internal.h"

#include <fmt/format.h>

namespace weir::codec {

void Trail::Label(Frame& frame) {
  if (frame.node->kind == data::Kind::kList) {
    for (; frame.written < frame.element; ++frame.written) {
      text_ += frame.written == 0 ? "null" : ",null";
    }
    if (frame.written++ > 0) text_ += ',';
    return;
  }
  if (frame.written++ > 0) text_ += ',';
  text_ += frame.key;
  text_ += ':';
}

void Trail::Open() {
  for (size_t i = 0; i < depth_; ++i) {
    Frame& frame = frames_[i];
    if (frame.opened) continue;
    if (i > 0) Label(frames_[i - 1]);
    text_ += frame.node->kind == data::Kind::kList ? '[' : '{';
    frame.opened = true;
  }
}

void Trail::AddUnknown(std::string_view quoted_key, std::string_view value) {
  Open();
  Frame& frame = frames_[depth_ - 1];
  frame.key = quoted_key;
  Label(frame);
  text_ += value;
}

std::string Trail::PathOf(const Node& child) const {
  if (child.is_static) return child.path;
  std::string path;
  for (size_t i = 0; i < depth_; ++i) {
    const Frame& frame = frames_[i];
    const Node& entry = i + 1 < depth_ ? *frames_[i + 1].node : child;
    if (frame.node->kind == data::Kind::kList) {
      path += fmt::format("[{}]", frame.element);
      continue;
    }
    if (!path.empty()) path += '.';
    path += frame.node->kind == data::Kind::kMap
                ? frame.key.substr(1, frame.key.size() - 2)
                : std::string_view(entry.field.name);
  }
  return path;
}

}  // namespace weir::codec
