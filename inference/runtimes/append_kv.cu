// Writes the keys and values of a batch's new tokens into the pools of every layer, in place.
// Grid: (rows * tokens, heads, pools). A block copies one head's vector of one token.
extern "C" __global__ void append_kv(
    unsigned int *const *pools,        // [pools], each [heads, head_slots, words]
    const unsigned int *const *fresh,  // [pools], each [rows, heads, tokens, words]
    const int *slots,                  // [rows, tokens]: where a token goes, alike for each head
    int tokens, int head_slots, int words) {
  const long long row = blockIdx.x / tokens, token = blockIdx.x % tokens;
  const long long head = blockIdx.y, heads = gridDim.y;
  const unsigned int *from = fresh[blockIdx.z] + ((row * heads + head) * tokens + token) * words;
  unsigned int *to = pools[blockIdx.z] + (head * head_slots + slots[blockIdx.x]) * words;
  for (int word = threadIdx.x; word < words; word += blockDim.x) to[word] = from[word];
}
