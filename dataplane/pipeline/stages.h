// The stages of ProcessBurst, in order. Each expects what the ones before it left in the burst.
#pragma once

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// Judges destination MACs and finds the headers. Sets packet, key; verdict other_mac or unreadable,
// else pending.
void ParseHeaders(PipelineContext& context, Burst& burst);

// Decides whose the packet is: the kernel's, a question to be answered, or a service's. Sets
// service, live, question.
void LookupServices(PipelineContext& context, Burst& burst);

// Hashes what is live and gives each packet its backend and egress port.
void SelectBackends(PipelineContext& context, Burst& burst);

// Turns each packet that is still pending into what leaves.
void Rewrite(PipelineContext& context, Burst& burst);

// Turns questions into their replies, in place.
void Answer(PipelineContext& context, Burst& burst);

}  // namespace fairlead
