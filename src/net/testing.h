// For tests only: a receiver that remembers, a logger that remembers, certificates in files that go with the object.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/logger.h"
#include "net/certificates.h"
#include "net/tls.h"
#include "net/transport.h"

namespace hailstone::net {

inline constexpr auto kPatience = std::chrono::seconds(30);  // a failed test's, never a passing one's

/// Remembers what it is told; tests wait for what they expect.
class Inbox final : public Receiver {
 public:
  struct Frame {
    NodeId from;
    uint8_t channel = 0;
    Bytes payload;
    bool operator==(const Frame&) const = default;
  };

  void on_frame(NodeId from, uint8_t channel, ByteView payload) override {
    if (on_each) on_each(from, payload);
    const std::scoped_lock lock(mutex_);
    bytes_ += payload.size();
    if (keep) frames_.push_back({from, channel, Bytes(payload)});
    changed_.notify_all();
  }
  void on_up(NodeId peer) override {
    const std::scoped_lock lock(mutex_);
    ++ups_[peer];
    up_[peer] = true;
    changed_.notify_all();
  }
  void on_down(NodeId peer, const Error& reason) override {
    const std::scoped_lock lock(mutex_);
    downs_[peer].push_back(reason);
    up_[peer] = false;
    changed_.notify_all();
  }

  bool wait(const std::function<bool(Inbox&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return holds(*this); });
  }
  bool wait_up(NodeId peer) {
    return wait([=](Inbox& in) { return in.up_[peer]; });
  }
  bool wait_down(NodeId peer) {
    return wait([=](Inbox& in) { return !in.up_[peer] && !in.downs_[peer].empty(); });
  }
  /// Waits for a reason that contains `text`.
  bool wait_reason(NodeId peer, const std::string& text) {
    return wait([&](Inbox& in) {
      for (const Error& reason : in.downs_[peer])
        if (reason.message.find(text) != std::string::npos) return true;
      return false;
    });
  }
  bool wait_frames(size_t n) {
    return wait([=](Inbox& in) { return in.frames_.size() >= n; });
  }
  bool wait_bytes(uint64_t n) {
    return wait([=](Inbox& in) { return in.bytes_ >= n; });
  }
  std::vector<Frame> frames() const {
    const std::scoped_lock lock(mutex_);
    return frames_;
  }
  std::vector<Error> downs(NodeId peer) {
    const std::scoped_lock lock(mutex_);
    return downs_[peer];
  }
  int ups(NodeId peer) {
    const std::scoped_lock lock(mutex_);
    return ups_[peer];
  }

  // Set before anything can come.
  std::function<void(NodeId, ByteView)> on_each;
  bool keep = true;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Frame> frames_;
  uint64_t bytes_ = 0;
  std::map<NodeId, bool> up_;
  std::map<NodeId, int> ups_;
  std::map<NodeId, std::vector<Error>> downs_;
};

/// "event key=value ..." of warnings and errors.
class MemoryLogger final : public Logger {
 public:
  void log(Level level, std::string_view event, std::initializer_list<Field> fields) override {
    if (level < Level::Warn) return;
    std::string line(event);
    for (const Field& field : fields)
      if (const auto* text = std::get_if<std::string_view>(&field.value))
        line += " " + std::string(field.key) + "=" + std::string(*text);
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  bool enabled(Level level) const override { return level >= Level::Warn; }
  bool wait_for(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      for (const std::string& line : lines_)
        if (line.find(text) != std::string::npos) return true;
      return false;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// An authority, and files of its nodes and clients.
class TestCell {
 public:
  TestCell() : authority(make_authority("test cell").value()) {
    char name[] = "/tmp/hailstone_net_XXXXXX";
    directory_ = ::mkdtemp(name);
    write("ca.pem", authority.certificate);
  }
  ~TestCell() { std::filesystem::remove_all(directory_); }
  TestCell(const TestCell&) = delete;
  TestCell& operator=(const TestCell&) = delete;

  TlsFiles files(uint64_t node) {
    const auto made = make_node_certificate(authority, NodeId(node)).value();
    const std::string name = std::to_string(node);
    return {directory_ + "/ca.pem", write(name + ".pem", made.certificate), write(name + ".key", made.key)};
  }
  TlsFiles client_files(const std::string& principal) {
    const auto made = make_client_certificate(authority, principal).value();
    return {directory_ + "/ca.pem", write(principal + ".pem", made.certificate), write(principal + ".key", made.key)};
  }
  /// A certificate with any common names and any other names and without a purpose, as no sound authority makes them.
  TlsFiles odd_files(const std::vector<std::string>& common_names, const std::string& other_names) {
    const auto read = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    BIO* certificate_text = read(authority.certificate);
    BIO* key_text = read(authority.key);
    X509* issuer = PEM_read_bio_X509(certificate_text, nullptr, nullptr, nullptr);
    EVP_PKEY* issuer_key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    for (const std::string& name : common_names)
      X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()), -1,
                                 0);
    if (!other_names.empty()) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, other_names.c_str());
      X509_add_ext(x, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(x, issuer_key, EVP_sha256());
    BIO* out = BIO_new(BIO_s_mem());
    BIO* key_out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, x);
    PEM_write_bio_PrivateKey(key_out, key, nullptr, nullptr, 0, nullptr, nullptr);
    const auto text = [](BIO* bio) {
      char* data = nullptr;
      const long length = BIO_get_mem_data(bio, &data);
      return std::string(data, static_cast<size_t>(length));
    };
    TlsFiles out_files = files(9);
    out_files.certificate = write("odd.pem", text(out));
    out_files.key = write("odd.key", text(key_out));
    for (BIO* bio : {certificate_text, key_text, out, key_out}) BIO_free(bio);
    X509_free(issuer);
    X509_free(x);
    EVP_PKEY_free(issuer_key);
    EVP_PKEY_free(key);
    return out_files;
  }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }
  const Certified authority;

 private:
  std::string directory_;
};

}  // namespace hailstone::net
