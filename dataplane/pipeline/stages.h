// The stages of ProcessBurst, in order. Each needs the results of the earlier ones in the burst.
#pragma once

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// Checks destination MACs and parses the headers. Sets packet and key. Drops frames to other MACs
// and unreadable frames; all others stay pending.
void ParseHeaders(PipelineContext& context, Burst& burst);

// Decides where a packet belongs: to the kernel, to Answer, or to a service. Sets service and the
// lists live, fragments, errors, replies and questions.
void LookupServices(PipelineContext& context, Burst& burst);

// Hashes the live packets and selects their backends. Drops those without a backend.
void SelectBackends(PipelineContext& context, Burst& burst);

// Follows the handshakes of sampled flows (handshake_table.h). Changes no packet and no verdict.
// REQUIRES live packets.
void FollowHandshakes(PipelineContext& context, const Burst& burst);

// First fragments record their datagram's routing decision. Later fragments apply it, or wait. Adds
// to live and replies.
void HandleFragments(PipelineContext& context, Burst& burst);
// Applies the routing decision (not 0) of the datagram to the parsed fragment `i`.
void ApplyDecision(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision);

// Records the decision about first fragment `i`, from a nat backend's address: later fragments are
// translated as well, or go to the kernel. REQUIRES that context.fragments is not null.
void RecordReplyDecision(PipelineContext& context, const Burst& burst, uint32_t i, bool translated);

// Directs ICMP errors to frontends to the backend of the quoted flow. Adds to live.
void ForwardErrors(PipelineContext& context, Burst& burst);

// Checks if packet `i`, whose destination is not a frontend, comes from a nat backend, or is an
// ICMP error about a packet that nat sent there. If so, adds it to a list and returns true.
bool AddIfReply(PipelineContext& context, Burst& burst, uint32_t i);

// Gives replies their frontend's address and port.
void TranslateReplies(PipelineContext& context, Burst& burst);

// Rewrites each live packet by its service's mode (rewrite_row.h).
void Rewrite(PipelineContext& context, Burst& burst);

// Turns ARP, neighbour and echo requests into their answers, in place.
void Answer(PipelineContext& context, Burst& burst);

}  // namespace fairlead
