# What does a report of scripts/gpu_check say? mode=table: Markdown. mode=goals: which goals are met, as JSON.
# Reads JSON as scripts/gpu_check and its programs lay it out: the innermost objects have a line each.

# The value of a member of the object on this line, as text; "" if it has none or is null.
function field(name,    rest, value) {
  if (!match($0, "\"" name "\": ")) return ""
  rest = substr($0, RSTART + RLENGTH)
  if (substr(rest, 1, 1) == "\"") return match(rest, /^"([^"\\]|\\.)*"/) ? substr(rest, 2, RLENGTH - 2) : ""
  match(rest, /^[^,}]*/)
  value = substr(rest, 1, RLENGTH)
  return value == "null" ? "" : value
}
function percent(value) { return value == "" ? "" : sprintf("%.1f%%", 100 * value) }
function figure(value, format) { return value == "" ? "" : sprintf(format, value) }

# what WANTED says of a figure; on the simulator, figures meet nothing.
function goal(name, wanted, value, met) {
  if (value == "") return
  printf "%s  {\"goal\": \"%s\", \"wanted\": \"%s\", \"measured\": %s, \"met\": %s}", goals++ ? ",\n" : "", name, wanted, value, backend == "cuda" ? (met ? "true" : "false") : "null"
}
function heading(title, columns, rule) {
  if (mode == "table") printf "\n%s\n\n| %s |\n|%s\n", title, columns, rule
}

/^\{"schema": / {
  backend = field("backend")
  if (mode == "table") printf "`scripts/gpu_check`, backend `%s`%s, commit %s.\n", backend, backend == "cuda" ? "" : " (a simulator: its figures mean nothing)", field("commit")
}
/^"machine": / && mode == "table" { printf "Machine: %s; %s, %s cores, %.0f GB; %s.\n", field("gpu"), field("cpu"), field("cores"), field("memory_bytes") / 1e9, field("nvcc") }
/^"steps": / { heading("Steps", "step | status | seconds | ", "---|---|---|---|") }
/"status": / && mode == "table" { printf "| %s | %s | %s | %s |\n", field("name"), field("status"), field("seconds"), field("detail") }

/"copy_bytes_per_s": / {
  heading(sprintf("Kernels of a %s block beside a copy within the device, %.0f GB/s read and written", field("shape"), field("copy_bytes_per_s") / 1e9),
          "kernel | type | µs | GB/s | of copy", "---|---|---|---|---|")
}
/"name": .*"seconds": / && !/"status": / {
  if (mode == "table") printf "| %s | %s | %.2f | %s | %s |\n", field("name"), field("type"), 1e6 * field("seconds"), figure(field("bytes_per_s") == "" ? "" : field("bytes_per_s") / 1e9, "%.1f"), percent(field("of_copy"))
  if (mode == "goals" && field("name") == "sparse_ffn") goal("sparse FFN at 10% active, " field("type") ", of copy bandwidth", "0.8 or more", field("of_copy"), field("of_copy") >= 0.8)
  if (mode == "goals" && field("name") == "hand_off") goal("hand-off, seconds", "below 15e-6", field("seconds"), field("seconds") < 15e-6)
}

/"home_bytes": / && !/"leaks": / {
  model = field("shape") " in " field("type")
  heading(sprintf("Decode of planted %s, %.1f GB; the CPU reads %.1f GB/s with %s threads", model, field("weight_bytes") / 1e9, field("cpu_bytes_per_s") / 1e9, field("threads")),
          "selection | plan | budget | on the device | tokens/s (range) | of by_block | MB a token, device and CPU | of floor | of serial floor | overlap | tokens agree",
          "---|---|---|---|---|---|---|---|---|---|---|")
}
/"policy": / {
  budget = field("budget_share") == 0 ? "" : percent(field("budget_share"))
  if (mode == "table" && field("refused") field("failed") != "") printf "| %s | %s | %s | %s%s | | | | | | | |\n", field("selection"), field("policy"), budget, field("refused") == "" ? "failed: " : "", field("refused") field("failed")
  else if (mode == "table") printf "| %s | %s | %s | %s | %.2f (%.2f–%.2f) | %s | %.1f, %.1f | %s | %s | %s | %s of %s%s |\n", field("selection"),
      field("policy") (field("same_as") == "" ? "" : ", as " field("same_as") (field("same_as_budget_share") == 0 ? "" : " at " percent(field("same_as_budget_share")))), budget, percent(field("neurons_on_device")), field("tokens_per_s"), field("tokens_per_s_least"),
      field("tokens_per_s_most"), figure(field("times_by_block"), "%.2f×"), field("device_bytes_per_token") / 1e6, field("cpu_bytes_per_token") / 1e6, percent(field("of_floor")),
      percent(field("of_serial_floor")), percent(field("overlap")), field("tokens_equal"), field("tokens_compared"), field("agrees") == "true" ? "" : ": NO"
  if (mode == "goals" && field("budget_share") == 0.5 && field("policy") != "by_block") {
    what = model ", " field("selection") ", " field("policy") " at half the weights"
    goal(what ", times by_block", "3 or more", field("times_by_block"), field("times_by_block") >= 3)
    goal(what ", of its floor", "0.7 or more", field("of_floor"), field("of_floor") >= 0.7)
  }
}

/"leaks": \{.*"tokens"/ {
  growth = sprintf("%d bytes on the device, %d on the host", field("device_growth_bytes"), field("host_growth_bytes"))
  if (mode == "table") printf "\n%s tokens without a break: memory grew by %s.\n", field("tokens"), growth
  if (mode == "goals") goal("10000 tokens without a leak", "true", field("passes"), field("tokens") >= 10000 && field("passes") == "true")
}
/"goals": / { heading("Goals", "goal | wanted | measured | met", "---|---|---|---|") }
/"wanted": / && mode == "table" { printf "| %s | %s | %s | %s |\n", field("goal"), field("wanted"), field("measured") == "true" || field("measured") == "false" ? field("measured") : figure(field("measured"), "%.4g"), field("met") == "" ? "not on a simulator" : field("met") }
