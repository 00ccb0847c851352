# Prints "name file" for each free function declared directly in namespace tenet that returns a Tensor, a
# standard container of Tensors, or a struct that holds one. Operators are left out: each is another name of a
# function. Reads the headers twice (pass=1 pass=2), since a struct may be declared in another header.

# text without comments, string and character literals and preprocessor lines
function code(line,   out, i, two) {
  if (line ~ /^[ \t]*#/ || continued) { continued = line ~ /\\$/; return "" }
  gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
  gsub(/'([^'\\]|\\.)'/, "0", line)
  out = ""
  for (i = 1; i <= length(line); i++) {
    two = substr(line, i, 2)
    if (in_comment) { if (two == "*/") { in_comment = 0; i++ } continue }
    if (two == "//") break
    if (two == "/*") { in_comment = 1; i++; continue }
    out = out substr(line, i, 1)
  }
  return out " "
}

function trim(s) { gsub(/[ \t]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s); return s }

function returns_tensor(type,   name) {
  if (type ~ /[&*]$/) return 0
  gsub(/(^| )(inline|constexpr|static|extern|const) /, " ", type)
  type = trim(type)
  if (type ~ /(^|[^A-Za-z0-9_])Tensor([^A-Za-z0-9_]|$)/) return 1
  name = type
  sub(/^.*::/, "", name)
  return name in holds_tensor
}

# one declaration at namespace level, up to its ';' or '{'
function declaration(s,   before, name, type) {
  s = trim(s)
  gsub(/\[\[[^]]*\]\] ?/, "", s)
  if (s ~ /^template ?</) s = after_template(s)
  if (s ~ /operator/ || s ~ /^(using|typedef|friend|struct|class|enum|namespace|extern|static_assert)[ (]/) return
  if (!match(s, /[A-Za-z_][A-Za-z0-9_]* ?\(/)) return
  before = substr(s, 1, RSTART - 1)
  if (before ~ /=/) return
  name = substr(s, RSTART, RLENGTH - 1)
  gsub(/ /, "", name)
  type = trim(before)
  if (returns_tensor(type)) print name, FILENAME
}

function after_template(s,   i, depth, c) {
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (c == "<") depth++
    if (c == ">" && --depth == 0) return trim(substr(s, i + 1))
  }
  return s
}

function reset() { text = ""; depth = 0; skip = 0; parens = 0; in_comment = 0; continued = 0; struct_name = "" }

# braces: namespaces are entered, anything else is skipped over until it closes
function open_brace(   s) {
  s = trim(text)
  if (s ~ /^(inline )?namespace/) {
    depth++
    kind[depth] = (s ~ /(^|[ :])detail/ || s ~ /namespace$/ || (depth == 1 && s !~ /tenet/)) ? "private" : "public"
  } else {
    if (s ~ /^(template ?<.*> ?)?(struct|class) /) {
      struct_name = s
      sub(/^.*(struct|class) /, "", struct_name)
      sub(/[ :].*$/, "", struct_name)
    } else if (pass == 2 && visible()) {
      declaration(s)
    }
    skip = 1
  }
  text = ""
}

function visible(   i) {
  if (depth == 0) return 0
  for (i = 1; i <= depth; i++) if (kind[i] != "public") return 0
  return 1
}

function feed(c) {
  if (skip > 0) {
    text = text c
    if (c == "{") skip++
    if (c == "}" && --skip == 0) {
      if (struct_name != "" && text ~ /(^|[^A-Za-z0-9_])Tensor[ >]/) holds_tensor[struct_name] = 1
      struct_name = ""
      text = ""
    }
    return
  }
  if (c == "(") parens++
  if (c == ")") parens--
  if (parens > 0) { text = text c; return }   # default arguments may hold braces
  if (c == "{") { open_brace(); return }
  if (c == "}") { depth--; text = ""; return }
  if (c == ";") { if (pass == 2 && visible()) declaration(text); text = ""; return }
  text = text c
}

FNR == 1 { reset() }
{
  line = code($0)
  for (k = 1; k <= length(line); k++) feed(substr(line, k, 1))
}
