#include "depot/view.h"

#include <fmt/format.h>

#include "base/codec.h"
#include "depot/find.h"

namespace hailstone::depot {

Result<ReleasePtr> Releases::get(const std::shared_ptr<const volume::Volume>& volume, ReleaseNumber number) {
  Bytes key;
  Encoder encoder(key);
  encoder.varint(volume->record.id.value);
  encoder.varint(number.value);
  if (const Known* known = records_.find(key))
    if (!known->as_of.owner_before(volume) && !volume.owner_before(known->as_of)) return known->record;
  TRY(auto record, repository_.release(*volume, number));
  auto shared = std::make_shared<const volume::ReleaseRecord>(std::move(record));
  records_.put(key, {shared, volume});
  return shared;
}

Result<View> open_view(Releases& releases, std::shared_ptr<const volume::Volume> volume, const Selector& selector) {
  View view;
  const Bytes& volume_name = volume->record.name;
  view.base = encode_base(volume_name, selector);
  view.name = selector.kind == Selector::Kind::None ? volume_name : volume_name + "@" + selector.text;
  view.volume = std::move(volume);
  const std::string_view name = selector.kind == Selector::Kind::None ? kDefaultChannel : ByteView(selector.text);
  if (selector.kind == Selector::Kind::None || selector.kind == Selector::Kind::Name) {
    if (const auto channel = view.volume->channels.find(name); channel != view.volume->channels.end()) {
      view.kind = View::Kind::Channel;
      view.channel = name;
      view.flips = channel->second;
      view.release = view.flips->back().release;
      view.root = view.flips->back().root;
      view.published = view.flips->back().at;
      view.by_cookie = selector.kind == Selector::Kind::None && view.volume->record.settings.cookie_pin;
      return view;
    }
  }
  switch (selector.kind) {
    case Selector::Kind::None:
      return fail(Code::NotFound, fmt::format("nothing is published on '{}' yet", volume_name));
    case Selector::Kind::Name: {
      const auto tag = view.volume->tags.find(name);
      if (tag == view.volume->tags.end())
        return fail(Code::NotFound,
                    fmt::format("volume '{}' has no channel or tag '{}'", volume_name, printable(name)));
      view.kind = View::Kind::Tag;
      view.release = tag->second;
      break;
    }
    case Selector::Kind::Number:
      view.kind = View::Kind::Pinned;
      view.release = selector.number;
      break;
    case Selector::Kind::Time: return fail(Code::Invalid, "a time is no release");
  }
  TRY(view.record, releases.get(view.volume, view.release));
  view.root = view.record->root;
  view.published = view.record->time;
  return view;
}

std::string_view cache_control(const View& view) {
  if (view.kind == View::Kind::Pinned) return immutable_cache_control(*view.volume);
  const bool shared = view.volume->record.settings.public_read && !view.by_cookie;
  return shared ? "no-cache" : "private, no-cache";
}

std::string_view immutable_cache_control(const volume::Volume& volume) {
  return volume.record.settings.public_read ? "public, max-age=31536000, immutable"
                                            : "private, max-age=31536000, immutable";
}

}  // namespace hailstone::depot
