#include <cstring>
#include <limits>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"
#include "lib/mode/mode.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/file.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/number_check.h"

namespace fairlead::fairctl {
namespace {

struct BuildOptions {
  std::string services;
  std::string image;
  uint64_t generation = 1;
};

std::string StateName(uint8_t state) {
  switch (static_cast<BackendState>(state)) {
    case BackendState::kActive:
      return "active";
    case BackendState::kDraining:
      return "draining";
    case BackendState::kDown:
      return "down";
  }
  return "?";
}

Json NextHopToJson(const SnapshotView& view, uint32_t index) {
  if (index == kNoNextHop) return nullptr;
  const NextHopRecord& record = view.next_hops()[index];
  MacAddress mac;
  std::memcpy(mac.bytes.data(), record.mac, sizeof(record.mac));
  return {{"mac", mac.ToString()},
          {"vlan", record.vlan},
          {"interface",
           std::string(record.interface, strnlen(record.interface, sizeof(record.interface)))}};
}

Json BackendsToJson(const SnapshotView& view, const ServiceRecord& service) {
  Json backends = Json::array();
  for (const BackendRecord& record : view.backends_of(service)) {
    Json backend = {{"address", AddressOf(record).ToString()},
                    {"weight", record.weight},
                    {"state", StateName(record.state)},
                    {"id", record.id},
                    {"next_hop", NextHopToJson(view, record.next_hop_index)}};
    if (record.port != 0) backend["port"] = record.port;
    backends.push_back(std::move(backend));
  }
  return backends;
}

// Settings that differ between modes.
void AddModeSettings(const ServiceRecord& record, Json* service) {
  if (record.gue_port != 0) (*service)["gue_port"] = record.gue_port;
  for (const ModeSetting& setting : kModeSettings) {
    if ((record.flags & setting.flag) != 0) (*service)[setting.name] = true;
  }
  if ((record.flags & kServiceDropTooBig) != 0) (*service)["too_big"] = "drop";
}

Json SnapshotToJson(const SnapshotView& view) {
  const SnapshotHeader& header = view.header();
  Json services = Json::array();
  for (const ServiceRecord& record : view.services()) {
    Json service = {{"name", view.name_of(record)},
                    {"id", record.id},
                    {"forwarding", ForwardingModeName(static_cast<ForwardingMode>(record.mode))},
                    {"hash", HashPolicyName(static_cast<HashPolicy>(record.hash_policy))},
                    {"tracking_tcp", TrackingName(static_cast<Tracking>(record.tracking_tcp))},
                    {"tracking_udp", TrackingName(static_cast<Tracking>(record.tracking_udp))},
                    {"idle_timeout_tcp", FormatDurationMs(record.idle_timeout_tcp_ms)},
                    {"idle_timeout_udp", FormatDurationMs(record.idle_timeout_udp_ms)},
                    {"slot_count", record.slot_count},
                    {"frontends", Json::array()},
                    {"backends", BackendsToJson(view, record)}};
    AddModeSettings(record, &service);
    services.push_back(std::move(service));
  }
  for (const FrontendRecord& record : view.frontends()) {
    services[record.service_index]["frontends"].push_back(FrontendOf(record).ToString());
  }
  return {{"version", header.version},      {"generation", header.generation},
          {"digest", header.digest},        {"hash_seed", header.hash_seed},
          {"bytes", header.total_bytes},    {"next_hops", view.next_hops().size()},
          {"services", std::move(services)}};
}

void PrintSnapshot(Context* context, const Json& snapshot) {
  std::ostream& out = context->out();
  out << "generation  " << Shown(Member(snapshot, "generation")) << '\n'
      << "hash seed   " << Shown(Member(snapshot, "hash_seed")) << '\n'
      << "size        " << Shown(Member(snapshot, "bytes")) << " bytes, format version "
      << Shown(Member(snapshot, "version")) << '\n';
  for (const Json& service : List(Member(snapshot, "services"))) {
    out << "\nservice " << Shown(Member(service, "name")) << ": "
        << JoinList(Member(service, "frontends"), ", ") << '\n'
        << "  " << ForwardingText(service) << ", hash " << Shown(Member(service, "hash"))
        << ", tracking tcp " << Shown(Member(service, "tracking_tcp")) << ", udp "
        << Shown(Member(service, "tracking_udp")) << ", " << Shown(Member(service, "slot_count"))
        << " slots\n";
    Table table({{"  BACKEND"}, {"WEIGHT", Align::kRight}, {"STATE"}, {"NEXT HOP"}});
    for (const Json& backend : List(Member(service, "backends"))) {
      const Json& next_hop = Member(backend, "next_hop");
      table.Add({"  " + EndpointText(backend), Shown(Member(backend, "weight")),
                 Shown(Member(backend, "state")),
                 next_hop.is_null() ? "unknown" : Shown(Member(next_hop, "mac"))});
    }
    if (!table.empty()) table.Print(out, context->colour());
  }
}

int ShowSnapshot(Context* context, const std::string& path) {
  const Result<std::string> bytes = ReadFile(path, kMaxSnapshotBytes);
  if (!bytes.ok()) return context->Fail(bytes.status());
  const Result<SnapshotImage> image = LoadSnapshot(std::as_bytes(std::span(*bytes)));
  if (!image.ok())
    return context->Fail({image.status().code(), path + ": " + image.status().message()});
  const Json json = SnapshotToJson(SnapshotView(image->bytes()));
  if (!context->PrintJson(json)) PrintSnapshot(context, json);
  return kExitOk;
}

Result<SnapshotImage> ImageOf(const BuildOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.services, kMaxYamlBytes));
  const auto located = [&](const Status& status) {
    return Status(status.code(), options.services + ": " + status.message());
  };
  const Result<Json> json = YamlToJson(text);
  if (!json.ok()) return located(json.status());
  const Result<IntentSpec> intent = IntentFromJson(*json);
  if (!intent.ok()) return located(intent.status());
  for (const ServiceSpec& service : intent->services) {
    const Status valid = ValidateNewService(service, "service " + service.name + ": ");
    if (!valid.ok()) return located(valid);
  }
  return BuildSnapshot(DeriveSnapshot(*intent, options.generation, OfflineObservations(*intent)));
}

int Build(Context* context, const BuildOptions& options) {
  const Result<SnapshotImage> image = ImageOf(options);
  if (!image.ok()) return context->Fail(image.status());
  const auto bytes = image->bytes();
  const Status written =
      WriteFile(options.image, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!written.ok()) return context->Fail(written);
  const SnapshotView view(bytes);
  const Json summary = {{"image", options.image},
                        {"bytes", bytes.size()},
                        {"generation", view.header().generation},
                        {"services", view.services().size()},
                        {"frontends", view.frontends().size()},
                        {"backends", view.backends().size()}};
  if (context->PrintJson(summary)) return kExitOk;
  context->out() << options.image << ": generation " << view.header().generation << ", "
                 << view.services().size() << " service(s), " << view.backends().size()
                 << " backend(s), " << bytes.size() << " bytes\n";
  return kExitOk;
}

}  // namespace

void AddSnapshotCommands(CLI::App* app, Context* context) {
  CLI::App* snapshot =
      app->add_subcommand("snapshot", "Snapshot images, without fairleadd: build, show");
  snapshot->require_subcommand(1);

  auto options = std::make_shared<BuildOptions>();
  CLI::App* build = snapshot->add_subcommand(
      "build", "Make an image from services.yaml, with all backends healthy");
  const auto offer_files = [&](CLI::Option* option) {
    context->Offer(option->required(), ValueKind::kFiles);
  };
  offer_files(build->add_option("services", options->services, "services.yaml"));
  offer_files(build->add_option("-o,--output", options->image, "the image's file"));
  build->add_option("--generation", options->generation, "written into the image")
      ->transform(DecimalNumber(0, std::numeric_limits<uint64_t>::max()))
      ->capture_default_str();
  build->callback([=] { context->action = [=] { return Build(context, *options); }; });

  auto path = std::make_shared<std::string>();
  CLI::App* show = snapshot->add_subcommand("show", "Check an image and print what is in it");
  offer_files(show->add_option("image", *path, "the image's file"));
  show->callback([=] { context->action = [=] { return ShowSnapshot(context, *path); }; });
}

}  // namespace fairlead::fairctl
