#include "server/metrics.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <vector>

#include "server/version.h"

namespace hailstone::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

class Page {
 public:
  void gauge(std::string name, std::string help, double value) {
    add(MetricType::Gauge, std::move(name), std::move(help), value);
  }
  void counter(std::string name, std::string help, double value) {
    add(MetricType::Counter, std::move(name), std::move(help), value);
  }

  using Labels = std::vector<std::pair<std::string, std::string>>;
  MetricFamily& family(MetricType type, std::string name, std::string help) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back();
  }
  static void sample(MetricFamily& family, const Labels& labels, double value) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (family.type == MetricType::Counter)
      metric.counter.value = value;
    else
      metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  void add(MetricType type, std::string name, std::string help, double value) {
    sample(family(type, std::move(name), std::move(help)), {}, value);
  }
  std::vector<MetricFamily> families_;
};

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double number(uint64_t value) { return static_cast<double>(value); }

void add_http(Page& page, const http::ServerStats& http) {
  page.gauge("hailstone_http_connections", "Open HTTP connections.", number(http.connections_open));
  page.counter("hailstone_http_connections_total", "HTTP connections accepted.", number(http.connections_total));
  page.counter("hailstone_http_requests_total", "HTTP requests received.", number(http.requests_total));
  auto& responses =
      page.family(MetricType::Counter, "hailstone_http_responses_total", "HTTP responses by status class.");
  for (int c = 1; c < 6; ++c)
    Page::sample(responses, {{"class", fmt::format("{}xx", c)}}, number(http.responses_by_class[c]));
  page.counter("hailstone_http_sent_bytes_total", "Bytes sent over HTTP.", number(http.bytes_sent));
  page.counter("hailstone_http_received_bytes_total", "Bytes received over HTTP.", number(http.bytes_received));
  page.counter("hailstone_http_timeouts_total", "Connections cut for being slow.", number(http.timeouts));
  page.counter("hailstone_http_rejected_total", "Connections refused at the connection limit.", number(http.rejected));
  page.counter("hailstone_http_malformed_total", "Requests that are not HTTP.", number(http.parse_errors));
}

void add_s3(Page& page, const s3::Meter& meter, const http::ServerStats& http) {
  page.gauge("hailstone_s3_connections", "Open connections of the S3 listener.", number(http.connections_open));
  page.counter("hailstone_s3_connections_total", "Connections it accepted.", number(http.connections_total));
  page.counter("hailstone_s3_sent_bytes_total", "Bytes it sent.", number(http.bytes_sent));
  page.counter("hailstone_s3_received_bytes_total", "Bytes it received.", number(http.bytes_received));
  page.counter("hailstone_s3_timeouts_total", "Connections it cut for being slow.", number(http.timeouts));
  page.counter("hailstone_s3_rejected_total", "Connections it refused at the connection limit.", number(http.rejected));
  page.counter("hailstone_s3_malformed_total", "Requests that are not HTTP.", number(http.parse_errors));
  auto& responses = page.family(MetricType::Counter, "hailstone_s3_responses_total",
                                "S3 requests answered, by operation and status class.");
  for (size_t i = 0; i < s3proto::kOperationCount; ++i) {
    const auto operation = static_cast<s3proto::Operation>(i);
    const auto row = meter.row(operation);
    for (size_t c = 1; c < row.by_class.size(); ++c)
      if (row.by_class[c] > 0)
        Page::sample(
            responses,
            {{"operation", std::string(s3proto::operation_name(operation))}, {"class", fmt::format("{}xx", c)}},
            number(row.by_class[c]));
  }
  auto& seconds = page.family(MetricType::Histogram, "hailstone_s3_request_seconds",
                              "From a request's head until the head of its answer, its body included.");
  for (size_t i = 0; i < s3proto::kOperationCount; ++i) {
    const auto operation = static_cast<s3proto::Operation>(i);
    const auto row = meter.row(operation);
    if (row.requests == 0) continue;
    prometheus::ClientMetric metric;
    metric.label.push_back({"operation", std::string(s3proto::operation_name(operation))});
    metric.histogram.sample_count = row.requests;
    metric.histogram.sample_sum = row.seconds;
    uint64_t sum = 0;
    for (size_t b = 0; b < row.latency.size(); ++b) {
      sum += row.latency[b];
      const double bound = b < s3::kLatencyBoundsMs.size() ? static_cast<double>(s3::kLatencyBoundsMs[b]) / 1e3
                                                           : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({sum, bound});
    }
    seconds.metric.push_back(std::move(metric));
  }
}

void add_store(Page& page, Node& node) {
  const auto store = node.store().stats();
  page.gauge("hailstone_store_chunks", "Chunks held.", number(store.chunks));
  page.gauge("hailstone_store_bytes", "Bytes of chunks as stored.", number(store.stored_bytes));
  page.gauge("hailstone_store_uncompressed_bytes", "The same before compression.", number(store.uncompressed_bytes));
  page.gauge("hailstone_store_disk_bytes", "Bytes of segment files.", number(store.disk_bytes));
  page.gauge("hailstone_store_quarantined", "Damaged chunks taken out of service: alarm above 0.",
             number(store.quarantined));
  page.gauge("hailstone_store_segments_unloaded",
             "Segments whose chunks are not in the figures above yet, after a start.", number(store.segments_unloaded));
  if (const auto free = node.disk().free_bytes(node.config().data))
    page.gauge("hailstone_disk_free_bytes", "Free space where the data directory is.", number(*free));
  const auto cache = node.nodes().stats();
  page.counter("hailstone_node_cache_hits_total", "Directory nodes found in memory.", number(cache.hits));
  page.counter("hailstone_node_cache_misses_total", "Directory nodes read from the store.", number(cache.misses));
  page.gauge("hailstone_node_cache_bytes", "Memory of cached directory nodes.", number(cache.bytes));
  const auto content = node.extents().stats();
  page.counter("hailstone_content_cache_hits_total", "Larger chunks sent from memory.", number(content.hits));
  page.counter("hailstone_content_cache_misses_total", "Larger chunks verified and sent from their segment.",
               number(content.misses));
  page.gauge("hailstone_content_cache_bytes", "Memory of cached chunks.", number(content.bytes));
}

void add_upkeep(Page& page, const Upkeep::Totals& upkeep) {
  page.counter("hailstone_releases_trashed_total", "Releases that retention let go.", number(upkeep.releases_trashed));
  page.counter("hailstone_releases_purged_total", "Releases forgotten for good.", number(upkeep.releases_purged));
  page.counter("hailstone_s3_expired_total", "Objects, versions and delete markers that lifecycle rules removed.",
               number(upkeep.objects_expired));
  page.counter("hailstone_s3_uploads_aborted_total", "Multipart uploads aborted for their age.",
               number(upkeep.uploads_aborted));
  page.counter("hailstone_collections_total", "Collections run.", number(upkeep.collections));
  page.counter("hailstone_upkeep_failures_total",
               "Collections, compactions, scrubs and verifications that failed: see the log.", number(upkeep.failures));
  page.gauge("hailstone_collect_reachable_chunks",
             "Chunks that something refers to, or that no collection has seen yet.", number(upkeep.reachable_chunks));
  page.gauge("hailstone_collect_trash_chunks", "Chunks that nothing refers to, waiting for the end of their window.",
             number(upkeep.trash_chunks));
  page.gauge("hailstone_collect_held_chunks", "Due ones that the last collection left to open write sessions.",
             number(upkeep.held_chunks));
  page.counter("hailstone_collect_trashed_chunks_total", "Chunks that lost their last reference.",
               number(upkeep.trashed_chunks));
  page.counter("hailstone_collect_erased_chunks_total", "Chunks erased by collections.", number(upkeep.erased_chunks));
  page.counter("hailstone_collect_erased_bytes_total", "Their bytes as stored.", number(upkeep.erased_bytes));
  page.counter("hailstone_compact_segments_total", "Segment files removed by compaction.",
               number(upkeep.compacted_segments));
  page.counter("hailstone_compact_freed_bytes_total", "Bytes of those files.", number(upkeep.compacted_bytes));
  page.counter("hailstone_compact_moved_bytes_total", "Bytes written again for it.", number(upkeep.moved_bytes));
  page.counter("hailstone_scrub_bytes_total", "Bytes of chunks read and verified in the background.",
               number(upkeep.scrubbed_bytes));
  page.counter("hailstone_scrub_passes_total", "Passes over all chunks done.", number(upkeep.scrub_passes));
  page.counter("hailstone_scrub_damaged_total", "Damaged chunks it found: alarm on any.", number(upkeep.scrub_damaged));
  page.gauge("hailstone_scrub_segment", "Segment file it is at.", number(upkeep.scrub.segment));
}

void add_volumes(Page& page, Node& node) {
  const auto state = node.repository().published().load();
  page.gauge("hailstone_volumes", "Volumes in this cell.", number(state->volumes->size()));
  auto& release = page.family(MetricType::Gauge, "hailstone_channel_release", "Release a channel serves.");
  auto& flipped =
      page.family(MetricType::Gauge, "hailstone_channel_flipped_timestamp_seconds", "When the channel last changed.");
  auto& flips = page.family(MetricType::Counter, "hailstone_channel_flips_total", "Changes of the channel.");
  auto& unsealed = page.family(MetricType::Gauge, "hailstone_head_unsealed_edits",
                               "Changes of a head not yet folded into its tree.");
  for (const auto& [name, volume] : *state->volumes) {
    for (const auto& [channel, history] : volume->channels) {
      const Page::Labels labels = {{"volume", name}, {"channel", channel}};
      Page::sample(release, labels, number(history->back().release.value));
      Page::sample(flipped, labels, static_cast<double>(history->back().at.value) / 1e6);
      Page::sample(flips, labels, number(history->back().sequence));
    }
    if (const auto head = node.repository().layer(*volume, volume::kHeadLayer))
      Page::sample(unsealed, {{"volume", name}}, number(head->active_edits));
  }
}

void add_cell(Page& page, const CellFigures& cell) {
  page.gauge("hailstone_cell_leads", "1 on the member that leads the cell.", cell.leads ? 1 : 0);
  page.gauge("hailstone_cell_leader", "The member that leads, as far as is known here; 0: nobody. Alarm on 0.",
             number(cell.leader));
  page.counter("hailstone_cell_revision", "Revision of the cell's state here.", number(cell.revision));
  page.counter("hailstone_cell_applied_slot", "Commands of the root group applied here.", number(cell.applied));
  page.gauge("hailstone_cell_sessions", "Sessions in the cell.", number(cell.sessions));
  page.gauge("hailstone_cell_files", "Files in the cell.", number(cell.files));
  page.gauge("hailstone_cell_content_bytes", "Bytes of their contents.", number(cell.content_bytes));
  page.gauge("hailstone_cell_connections", "Clients connected to this member.", number(cell.front.connections));
  page.gauge("hailstone_cell_calls", "Their calls that are not answered yet.", number(cell.front.calls));
  page.gauge("hailstone_cell_watches", "Their watches.", number(cell.front.watches));
  page.counter("hailstone_cell_connections_total", "Connections of clients accepted.", number(cell.streams.accepted));
  page.counter("hailstone_cell_refused_total", "Of these: not authenticated, or over a limit.",
               number(cell.streams.refused));
  page.counter("hailstone_cell_cut_total", "Clients cut off: they read too slowly, or did not answer.",
               number(cell.streams.cut));
  page.counter("hailstone_cell_sent_bytes_total", "Bytes sent to clients.", number(cell.streams.bytes_out));
  page.counter("hailstone_cell_received_bytes_total", "Bytes received from clients.", number(cell.streams.bytes_in));
  page.gauge("hailstone_cell_held_commands", "Commands that wait for clients to drop copies; on the leader.",
             number(cell.master.held_commands));
  page.gauge("hailstone_cell_copies", "Files of which clients may keep copies; on the leader.",
             number(cell.master.copies));
  const auto of_each = [&](MetricType type, const char* name, const char* help, auto value) {
    auto& family = page.family(type, name, help);
    for (const net::PeerMetrics& peer : cell.peers)
      Page::sample(family, {{"member", fmt::format("{}", peer.id.value)}}, value(peer));
  };
  of_each(MetricType::Gauge, "hailstone_cell_peer_connected",
          "1 while frames go to and come from that member. Alarm on 0.",
          [](const auto& peer) { return peer.connected && peer.heard ? 1.0 : 0.0; });
  of_each(MetricType::Gauge, "hailstone_cell_peer_round_trip_seconds", "To that member, smoothed.",
          [](const auto& peer) { return number(peer.round_trip_us) / 1e6; });
  of_each(MetricType::Counter, "hailstone_cell_peer_dropped_total", "Frames to that member lost.",
          [](const auto& peer) { return number(peer.dropped); });
}

void add_cluster(Page& page, Node& node) {
  auto& leader = page.family(MetricType::Gauge, "hailstone_group_leader",
                             "Node that leads the repository group, as far as is known here; 0: nobody. Alarm on 0.");
  auto& applied = page.family(MetricType::Counter, "hailstone_group_applied", "Commands of the group applied here.");
  for (size_t i = 0; i < node.shards().size(); ++i) {
    const Page::Labels labels = {{"group", fmt::format("{}", kFirstGroup + i)}};
    Page::sample(leader, labels, number(node.shards()[i].group->leader().value));
    Page::sample(applied, labels, number(node.shards()[i].group->applied_slot().value));
  }
  Cluster* const cluster = node.cluster();
  if (!cluster) return;
  const auto roster = cluster->roster();
  page.gauge("hailstone_cluster_registered", "1 while the cell counts on this node. Alarm on 0.",
             roster->self == Roster::Self::Registered ? 1 : 0);
  page.gauge("hailstone_cluster_nodes", "Nodes that are registered.", number(roster->nodes.size()));
  auto& stores = page.family(MetricType::Gauge, "hailstone_cluster_stores", "Stores by state.");
  for (const auto& [state, name] :
       {std::pair(StoreEntry::State::In, "in"), std::pair(StoreEntry::State::Draining, "draining"),
        std::pair(StoreEntry::State::Out, "out")})
    Page::sample(stores, {{"state", name}},
                 number(static_cast<uint64_t>(std::ranges::count_if(
                     roster->stores, [&](const auto& pair) { return pair.second.state == state; }))));

  const auto copies = cluster->store().metrics();
  page.counter("hailstone_copies_settled_total", "Chunks written that enough stores have durably.",
               number(copies.writes.settled));
  page.gauge("hailstone_copies_unsettled", "Chunks written that are on their way to stores.",
             number(copies.writes.unsettled));
  page.gauge("hailstone_copies_unsettled_bytes", "Memory of those.", number(copies.writes.unsettled_bytes));
  page.counter("hailstone_copies_stand_ins_total", "Copies that went to another store than the chunk's own.",
               number(copies.writes.stand_ins));
  page.counter("hailstone_copies_missed_total", "Attempts to write a copy that failed.",
               number(copies.writes.missed_copies));
  page.counter("hailstone_copies_remote_reads_total", "Chunks read from other stores.", number(copies.reads.reads));
  page.counter("hailstone_copies_hedged_reads_total", "Of these: a second store was asked, as the first was slow.",
               number(copies.reads.hedged));
  page.counter("hailstone_copies_damaged_reads_total", "Answers of stores that were damaged. Alarm on any.",
               number(copies.reads.damaged));
  page.counter("hailstone_copies_healed_total", "Damaged chunks of this store that were put again.",
               number(copies.healed));
  page.counter("hailstone_copies_kept_total", "Chunks put here when they were read, since they should be here.",
               number(copies.kept));

  const auto live = node.channels()->figures();
  page.counter("hailstone_live_hits_total", "Channels resolved from memory.", number(live.hits));
  page.counter("hailstone_live_waits_total", "Resolved by asking the cell.", number(live.waits));
  page.counter("hailstone_live_failed_total", "Of these: it gave no answer, the client got 503.", number(live.failed));
  page.counter("hailstone_live_reads_total", "Channel files read for them.", number(live.reads));
  page.counter("hailstone_live_invalidations_total", "Channels called back from memory: flips, and lost leases.",
               number(live.invalidations));
  page.gauge("hailstone_live_channels", "Channels in memory.", number(live.entries));
  page.gauge("hailstone_live_waiting", "Requests that wait for the cell now.", number(live.waiting));
  page.gauge("hailstone_live_confirmed_seconds", "For how long what is in memory counts; 0 or less: it does not.",
             static_cast<double>(node.channels()->confirmed_until_ns() - node.clock().monotonic_ns()) / 1e9);
}

void add_repository(Page& page, const MetricSources::Repository& from) {
  Node& node = from.node;
  page.gauge("hailstone_group_healthy",
             "1 while commands can be committed, 0 after a failed write or sync: alarm on 0.", node.healthy() ? 1 : 0);
  page.counter("hailstone_group_applied_slot", "Commands applied since the cell began.",
               number(node.applied_slot().value));
  page.counter("hailstone_seals_total", "Background seals done.", number(from.janitor.seals));
  page.counter("hailstone_seal_failures_total", "Background seals that failed and will be tried again.",
               number(from.janitor.seal_failures));
  page.counter("hailstone_drafts_expired_total", "Drafts dropped because their lease ran out.",
               number(from.janitor.drafts_expired));
  add_upkeep(page, from.janitor.upkeep);
  add_s3(page, from.s3, from.s3_http);
  add_store(page, node);
  add_volumes(page, node);
  add_cluster(page, node);
}

}  // namespace

std::string render_metrics(const MetricSources& sources) {
  Page page;
  Page::sample(page.family(MetricType::Gauge, "hailstone_build_info", "Always 1; the label tells the version."),
               {{"version", kVersion}}, 1);
  page.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
  add_http(page, sources.http);
  if (sources.cell) add_cell(page, *sources.cell);
  if (sources.repository) add_repository(page, *sources.repository);
  return page.text();
}

}  // namespace hailstone::server
