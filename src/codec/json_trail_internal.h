// Where in a record the reader stands, and what it met there that the contract does not
// know.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codec/json_node_internal.h"

namespace weir::codec {

// One frame for each declared object, list or map that is open. The unknown fields met
// are written as one JSON object that nests as the record does: fields of known objects
// stand under their name, of list elements at their place, the elements before them that
// have nothing unknown as null.
class Trail {
 public:
  void Begin(const Node* root) {
    text_.clear();
    depth_ = 0;
    Push(root);
  }
  void Push(const Node* node) {
    if (depth_ == frames_.size()) frames_.emplace_back();
    frames_[depth_++] = {node, {}, 0, 0, false};
  }
  void Pop() {
    const Frame& frame = frames_[--depth_];
    if (frame.opened) text_ += frame.node->kind == data::Kind::kList ? ']' : '}';
  }
  // What is read next in the innermost frame: the key with its quotes as the record
  // spells it, or the element.
  void AtKey(std::string_view quoted_key) { frames_[depth_ - 1].key = quoted_key; }
  void AtElement(int64_t index) { frames_[depth_ - 1].element = index; }

  // An unknown field of the innermost object.
  void AddUnknown(std::string_view quoted_key, std::string_view value);

  // The path of a child of the innermost frame: "device.os", "route[3].lat",
  // "labels.red".
  std::string PathOf(const Node& child) const;

  // The text once every frame is popped; empty when nothing unknown was met.
  std::string_view text() const { return text_; }

 private:
  struct Frame {
    const Node* node;
    std::string_view key;
    int64_t element;
    int64_t written;  // entries of this object or list that stand in the text
    bool opened;
  };

  void Open();
  void Label(Frame& frame);

  std::vector<Frame> frames_;
  size_t depth_ = 0;
  std::string text_;
};

}  // namespace weir::codec
