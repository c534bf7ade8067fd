// The scalar definitions of kernels that native/cpu has none of: plain loops over the same arguments, in memory that the host reaches. For tests.
//
// Sums are in double, so that a kernel's distance from its definition is the kernel's rounding alone.
#pragma once
#include "kernels.h"

namespace powerinfer::cuda {

// Of decoded matrices, f32[rows, width]; `positions` and `gate` null: none.
void embed_definition(const Embed&, const float* tokens, const float* positions);
void multiply_definition(const Multiply&, const float* weight);
void down_dense_definition(const DownDense&, const float* down);
void activate_definition(const Activate&);
void merge_definition(const Merge&);

void store_heads_definition(const StoreHeads&);
void attend_definition(const Attend&);
void compact_sets_definition(const CompactSets&);
void compact_firing_definition(const CompactFiring&);
void gate_up_definition(const GateUp&, const float* gate, const float* up);
void down_definition(const Down&, const float* down);
void pack_signs_definition(const PackSigns&);
void sign_scores_definition(const SignScores&);

}  // namespace powerinfer::cuda
