#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "lib/intent/json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/field_options.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/number_check.h"

namespace fairlead::fairctl {
namespace {

struct BackendOptions {
  std::string service;
  std::vector<std::string> endpoints;
  Json settings = Json::object();  // by field name
};

std::string NextHopCell(const Json& next_hop) {
  if (next_hop.is_null()) return "unknown";
  const std::string mac = Shown(Member(next_hop, "mac"));
  const std::string interface = TextOf(Member(next_hop, "interface"));
  return interface.empty() ? mac : mac + " " + interface;
}

// "4", or "4 (30%)" while it climbs (slow_start).
std::string WeightCell(const Json& backend) {
  const std::string weight = Shown(Member(backend, "weight"));
  const Json& climb = Member(backend, "slow_start");
  return climb.is_null() ? weight : weight + " (" + Shown(Member(climb, "percent")) + "%)";
}

std::string FlowsText(const Json& backend) {
  const Json& remaining = Member(Member(backend, "drain"), "remaining_flows");
  return Shown(remaining.is_number() ? remaining : Member(backend, "flows"));
}

Result<Json> ToJson(const BackendOptions& options) {
  Json backends = Json::array();
  for (const std::string& text : options.endpoints) {
    ASSIGN_OR_RETURN(const Endpoint endpoint, Endpoint::Parse(text));
    BackendSpec spec;
    spec.endpoint = endpoint;
    Json backend = BackendToJson(spec);
    backend.update(options.settings);
    backends.push_back(std::move(backend));
  }
  return Json{{"backends", std::move(backends)}};
}

int Add(Context* context, const BackendOptions& options) {
  const Result<Json> body = ToJson(options);
  if (!body.ok()) return context->FailUsage(body.status().message());
  const Result<Json> reply =
      context->Call("POST", ServicePath(options.service) + "/backends", *body);
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  std::string names;
  for (const std::string& text : options.endpoints) {
    names.append(names.empty() ? "" : ", ").append(text);
  }
  context->out() << (options.endpoints.size() == 1 ? "backend " : "backends ") << names
                 << " added to " << options.service << InForceText(*reply) << '\n';
  return kExitOk;
}

int ListBackends(Context* context, const std::string& service) {
  const Result<Json> reply = context->Call("GET", ServicePath(service) + "/backends");
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  const Json& backends = List(Member(*reply, "backends"));
  if (backends.empty()) {
    context->out() << "Service " << service
                   << " has no backends yet; add some with: fairctl backend add " << service
                   << " ADDRESS\n";
    return kExitOk;
  }
  PrintBackends(context, backends);
  return kExitOk;
}

// The commands about one backend of one service.
struct Target {
  std::string service;
  std::string backend;
};

// Sends a change of one backend and prints `done` (" removed").
int Change(Context* context, const Target& target, const char* method, const char* below,
           const std::optional<Json>& body, const std::string& done) {
  const Result<Endpoint> endpoint = Endpoint::Parse(target.backend);
  if (!endpoint.ok()) return context->FailUsage(endpoint.status().message());
  const Result<Json> reply =
      context->Call(method, BackendPath(target.service, *endpoint) + below, body);
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << "backend " << endpoint->ToString() << " of " << target.service << done
                 << InForceText(*reply) << '\n';
  return kExitOk;
}

std::shared_ptr<Target> AddTarget(CLI::App* command, Context* context) {
  auto target = std::make_shared<Target>();
  AddServiceArgument(command, context, &target->service);
  AddBackendArgument(command, context, &target->backend);
  return target;
}

void AddBackendAdd(CLI::App* backend, Context* context) {
  auto options = std::make_shared<BackendOptions>();
  CLI::App* add = backend->add_subcommand("add", "Add backends to a service: all or none");
  AddServiceArgument(add, context, &options->service);
  add->add_option("backend", options->endpoints, "ADDRESS or ADDRESS:PORT, one or more")
      ->required();
  AddFieldOptions(add, context, BackendFields(), &options->settings);
  add->callback([=] { context->action = [=] { return Add(context, *options); }; });
}

struct SetOptions {
  Json settings = Json::object();
  bool no_mac = false;
};

// "--weight, --mac, --vlan"
std::string OptionNames(const std::vector<FieldDescription>& fields) {
  std::string names;
  for (const FieldDescription& field : fields) {
    if (field.info.option.empty()) continue;
    names.append(names.empty() ? "" : ", ").append(field.info.option);
  }
  return names;
}

int Set(Context* context, const Target& target, const SetOptions& options) {
  Json patch = options.settings;
  if (options.no_mac) patch.update({{"mac", nullptr}, {"vlan", nullptr}});
  if (patch.empty()) {
    return context->FailUsage("nothing to set: give " + OptionNames(BackendFields()) +
                              " or --no-mac");
  }
  return Change(context, target, "PATCH", "", patch, " changed");
}

void AddBackendSet(CLI::App* backend, Context* context) {
  CLI::App* set = backend->add_subcommand("set", "Change a backend's weight or next hop");
  auto target = AddTarget(set, context);
  auto options = std::make_shared<SetOptions>();
  AddFieldOptions(set, context, BackendFields(), &options->settings);
  set->add_flag("--no-mac", options->no_mac, "ask the kernel for the next hop again")
      ->excludes(set->get_option("--mac"))
      ->excludes(set->get_option("--vlan"));
  set->callback([=] { context->action = [=] { return Set(context, *target, *options); }; });
}

void AddDrainCommands(CLI::App* backend, Context* context) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* drain = backend->add_subcommand(
      "drain", "Give a backend no new flows, so that it can be stopped when its flows have ended");
  AddServiceArgument(drain, context, &options->service);
  AddBackendArgument(drain, context, &options->backend);
  AddFieldOptions(drain, context, DrainFields(), &options->request);
  drain->add_flag("--wait", options->wait, "return when it is safe to stop the backend");
  drain->callback([=] { context->action = [=] { return Drain(context, *options); }; });

  CLI::App* undrain = backend->add_subcommand("undrain", "Take a drained backend back");
  auto target = AddTarget(undrain, context);
  undrain->callback([=] {
    context->action = [=] {
      return Change(context, *target, "DELETE", "/drain", std::nullopt, " takes new flows again");
    };
  });
}

// A line about a backend that the dataplane leaves out.
std::string LeftOutText(const Json& backend) {
  const Json& left_out = Member(backend, "left_out");
  if (left_out.is_null()) return "";
  return "\nbackend " + EndpointText(backend) +
         " is left out: " + TextOf(Member(left_out, "message"));
}

}  // namespace

void PrintBackends(Context* context, const Json& backends) {
  using enum Align;
  Table table({{"BACKEND"},
               {"WEIGHT", kRight},
               {"STATE"},
               {"FOR", kRight},
               {"FLOWS", kRight},
               {"PACKETS", kRight},
               {"BYTES", kRight},
               {"NEXT HOP"},
               {"REASON"}});
  const int64_t now_ms = context->environment().now_ms();
  for (const Json& backend : List(backends)) {
    const std::string state = Shown(Member(backend, "state"));
    table.Add({EndpointText(backend),
               WeightCell(backend),
               {state, ColourOfState(state)},
               FormatAge(TextOf(Member(backend, "since")), now_ms),
               FlowsText(backend),
               Shown(Member(backend, "packets")),
               FormatBytes(NumberOf(Member(backend, "bytes"))),
               NextHopCell(Member(backend, "next_hop")),
               Shown(Member(backend, "reason"))});
  }
  if (table.empty()) {
    context->out() << "no backends\n";
    return;
  }
  table.Print(context->out(), context->colour());
}

void PrintWarnings(Context* context, const Json& reply) {
  for (const Json& warning : List(Member(reply, "warnings"))) {
    context->err() << "warning: " << TextOf(warning) << '\n';
  }
}

std::string InForceText(const Json& reply) {
  const Json& generation = Member(reply, "generation");
  if (generation.is_null()) return "";
  const std::string number = " (generation " + Shown(generation);
  if (IsTrue(Member(reply, "in_force"))) return number + ", in force)";
  std::string left_out = LeftOutText(reply);
  for (const Json& backend : List(Member(reply, "backends"))) left_out += LeftOutText(backend);
  for (const Json& frontend : List(Member(reply, "left_out_frontends"))) {
    left_out += "\nfrontend " + TextOf(Member(frontend, "frontend")) + " " +
                TextOf(Member(frontend, "message"));
  }
  if (!left_out.empty()) return number + ", in force except what cannot be used)" + left_out;
  return number + ", stored but not in force: `fairctl status` says why)";
}

void AddServiceArgument(CLI::App* command, Context* context, std::string* service,
                        const char* name) {
  CLI::Option* argument = command->add_option(name, *service, "the service");
  context->Offer(argument->required(), ValueKind::kServices);
}

void AddBackendArgument(CLI::App* command, Context* context, std::string* backend) {
  CLI::Option* argument = command->add_option("backend", *backend, "ADDRESS or ADDRESS:PORT");
  context->Offer(argument->required(), ValueKind::kBackends);
}

void AddBackendCommands(CLI::App* app, Context* context) {
  CLI::App* backend =
      app->add_subcommand("backend", "Backends: add, list, set, drain, undrain, weight, remove");
  backend->require_subcommand(1);
  AddBackendAdd(backend, context);
  AddBackendSet(backend, context);
  AddDrainCommands(backend, context);

  auto service = std::make_shared<std::string>();
  CLI::App* list = backend->add_subcommand("list", "The backends of a service");
  AddServiceArgument(list, context, service.get());
  list->callback([=] { context->action = [=] { return ListBackends(context, *service); }; });

  CLI::App* weight = backend->add_subcommand("weight", "Change a backend's share of new flows");
  auto weighed = AddTarget(weight, context);
  auto value = std::make_shared<int>();
  weight->add_option("weight", *value, "share of new flows; 0 = none")
      ->required()
      ->transform(DecimalNumber(0, kMaxWeight));
  weight->callback([=] {
    context->action = [=] {
      return Change(context, *weighed, "PATCH", "", Json{{"weight", *value}},
                    " has weight " + std::to_string(*value));
    };
  });

  CLI::App* remove =
      backend->add_subcommand("remove", "Remove a backend at once; drain it first to keep flows");
  auto removed = AddTarget(remove, context);
  remove->callback([=] {
    context->action = [=] {
      return Change(context, *removed, "DELETE", "", std::nullopt, " removed");
    };
  });
}

}  // namespace fairlead::fairctl
