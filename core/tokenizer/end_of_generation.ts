// After which tokens has a model nothing more to say?

// Spellings that llama.cpp takes for the end (llama_vocab::impl::load, special_eog_ids): the metadata of many files
// names only one of several. Of its lists, what our model families use: the rules for gpt-oss and gemma are not here.
const endings = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<｜end▁of▁sentence｜>",
  // A model that fills in code goes on to the next file instead of ending.
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<PAD>",
  "[PAD]",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<REPO>",
  "<reponame>",
  "<|file_sep|>"
]

/** End of turn, end of message, and the three marks of code infilling, as the metadata names them. */
const endingNames = ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"]

/**
 * Ids that end a generation: named by the metadata or recognized by their spelling.
 *
 * `</s>` counts only where it is `eos` or a control token: in Qwen's vocabulary it is a piece of HTML.
 *
 * - ids        id of every token
 * - isControl  whether the file gives a token the type control
 * - specialId  id that the metadata gives for `tokenizer.ggml.<name>_token_id`
 */
export const findEndOfGeneration = (
  ids: ReadonlyMap<string, number>,
  isControl: (id: number) => boolean,
  eos: number | undefined,
  specialId: (name: string) => number | undefined
): ReadonlySet<number> => {
  const closing = ids.get("</s>")
  const found = [
    eos,
    closing !== undefined && isControl(closing) ? closing : undefined,
    ...endingNames.map((name) => specialId(name)),
    ...endings.map((text) => ids.get(text))
  ]
  return new Set(found.filter((id) => id !== undefined))
}
