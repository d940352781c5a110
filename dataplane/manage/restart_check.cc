#include "dataplane/manage/restart_check.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "dataplane/manage/image_file.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

using Outcome = RestartCheck::Outcome;
using Part = RestartCheck::Part;

std::string Counted(uint64_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kTakenOver:
      return "taken_over";
    case Outcome::kNothing:
      return "nothing";
    case Outcome::kLost:
      break;
  }
  return "lost";
}

Part CheckConfiguration(const DataplaneConfig& config) {
  const size_t workers = config.workers.value_or(std::max<size_t>(config.cores.size(), 1));
  return {"configuration", Outcome::kTakenOver,
          Counted(config.ports.size(), "port") + ", " + Counted(workers, "worker"), 0};
}

Part PartOfImage(const SnapshotImage& image) {
  const SnapshotView view(image.bytes());
  return {"snapshot", Outcome::kTakenOver,
          "generation " + std::to_string(view.header().generation) + ", " +
              Counted(view.services().size(), "service") + ", " +
              Counted(view.backends().size(), "backend"),
          view.services().size()};
}

Part CheckSavedImage(const std::string& path) {
  const Result<SnapshotImage> image = LoadSavedImage(path);
  if (image.ok()) return PartOfImage(*image);
  if (image.status().code() == ErrorCode::kNotFound) {
    return {"snapshot", Outcome::kNothing,
            "none is saved; forwarding begins when fairleadd has sent one", 0};
  }
  return {"snapshot", Outcome::kLost,
          image.status().message() + "; nothing is forwarded until fairleadd has sent one", 0};
}

// What the configuration must say for the table to be taken over; empty if that would not help.
std::string SizeRemedy(uint64_t capacity, uint64_t configured) {
  if (FlowTable::BytesNeeded(capacity) == FlowTable::BytesNeeded(configured)) return "";
  return "flow_table.records is " + std::to_string(configured) + ", but the table has " +
         std::to_string(capacity) + "; to keep them, set it to " + std::to_string(capacity);
}

Part CheckFlowRecords(const FlowMemory::Place& place, uint64_t configured) {
  const FlowMemory::Glance glance = FlowMemory::Look(place, FlowTable::BytesNeeded(configured));
  Part part{"flow_records", Outcome::kNothing, "no table is kept", 0};
  if (glance.path().empty()) return part;
  const Result<FlowTable::Census> census =
      glance.bytes().empty()
          ? Result<FlowTable::Census>(DataLoss(glance.path() + " cannot be read"))
          : FlowTable::Count(glance.bytes());
  part.count = census.ok() ? census->records : 0;
  if (glance.defect().empty() && census.ok()) {
    part.outcome = Outcome::kTakenOver;
    part.text = Counted(part.count, "record") + " in " + glance.path();
    return part;
  }
  if (census.ok() && part.count == 0) {
    part.text = "no records; a new table replaces " + glance.path();
    return part;
  }
  part.outcome = Outcome::kLost;
  const std::string what = census.ok() ? Counted(part.count, "record") : "all records";
  const std::string remedy = census.ok() ? SizeRemedy(census->capacity_records, configured) : "";
  const std::string why = !remedy.empty()            ? remedy
                          : !glance.defect().empty() ? glance.path() + " " + glance.defect()
                                                     : census.status().message();
  part.text = what + ": " + why;
  return part;
}

Part CheckSlotStates(const StateFiles& files) {
  const SlotFiles::Contents contents = SlotFiles(files.slots, files.flows.epoch).Look();
  Part part{"slot_states", Outcome::kNothing, "all slots are settled", contents.saved.size()};
  if (part.count > 0) {
    part.outcome = Outcome::kTakenOver;
    part.text = "of " + Counted(part.count, "service");
  }
  const auto unusable =
      std::ranges::find_if(contents.unusable, [](const SlotFiles::Unusable& each) {
        return !each.path.ends_with(".new");  // being written, or left by a killed process
      });
  if (unusable == contents.unusable.end()) return part;
  part.outcome = Outcome::kLost;
  part.text = unusable->path + ": " + unusable->why +
              "; flows older than the last change of that service may move to another backend";
  return part;
}

}  // namespace

bool RestartCheck::LosesState() const {
  return std::ranges::any_of(parts,
                             [](const Part& part) { return part.outcome == Outcome::kLost; });
}

Result<RestartCheck> CheckRestart(const Options& options,
                                  const std::optional<StateFiles>& state_files) {
  RestartCheck check;
  check.parts.push_back(CheckConfiguration(options.config));
  if (options.snapshot) {
    ASSIGN_OR_RETURN(const SnapshotImage image, LoadImageFile(*options.snapshot));
    check.parts.push_back(PartOfImage(image));
  } else if (state_files) {
    check.parts.push_back(CheckSavedImage(state_files->snapshot));
  }
  if (!state_files) return check;
  check.parts.push_back(CheckFlowRecords(state_files->flows, options.config.flow_records));
  check.parts.push_back(CheckSlotStates(*state_files));
  return check;
}

std::string CheckText(const RestartCheck& check) {
  std::string text;
  for (const Part& part : check.parts) {
    std::string name = part.name;
    std::ranges::replace(name, '_', ' ');
    name.resize(15, ' ');
    const char* const outcome = part.outcome == Outcome::kLost        ? "lost: "
                                : part.outcome == Outcome::kTakenOver ? "taken over: "
                                                                      : "";
    text += name + outcome + part.text + "\n";
  }
  return text;
}

std::string CheckJson(const RestartCheck& check) {
  nlohmann::json parts = nlohmann::json::array();
  for (const Part& part : check.parts) {
    parts.push_back({{"name", part.name},
                     {"outcome", OutcomeName(part.outcome)},
                     {"text", part.text},
                     {"count", part.count}});
  }
  return nlohmann::json{
      {"release", FAIRLEAD_VERSION}, {"complete", !check.LosesState()}, {"parts", std::move(parts)}}
      .dump();
}

std::string CheckErrorJson(const Status& error) {
  return nlohmann::json{{"release", FAIRLEAD_VERSION}, {"error", error.message()}}.dump();
}

}  // namespace fairlead
