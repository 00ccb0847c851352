# What Doxygen reads of a header. The house style says things once; Doxygen wants them on each declaration.
#
#   - The comment at the head of a file is the file's (@file), not that of the namespace below it.
#   - A `///` comment goes to every declaration below it, up to an empty line or the next comment; an `override` has its
#     base's words, a constructor or operator() without words those of its class (the first paragraph).
#   - `T x;  // words` documents x; so do comment lines right below it.
#   - `T a, b;` becomes two declarations, each with the words of both.
#   - Members that are defaulted or deleted, and the specialisations of fmt::formatter at the end, are left out.
#
# Line numbers stay. Text inside function bodies is not touched.

# The text with the contents of string and character literals blanked, of the same length.
function masked(s,    out, m) {
  out = ""
  while (match(s, /"([^"\\]|\\.)*"|'([^'\\]|\\.)'/)) {
    m = substr(s, RSTART, RLENGTH)
    gsub(/./, "_", m)
    out = out substr(s, 1, RSTART - 1) m
    s = substr(s, RSTART + RLENGTH)
  }
  return out s
}

function trim(s) {
  sub(/^[ \t]+/, "", s)
  sub(/[ \t]+$/, "", s)
  return s
}

function comment(text) {
  gsub(/\*\//, "* /", text)
  return "/** " text " */ "
}

# `T a = 1, b = 2;` with `words` before each name, or, if the first one has them already, before the others.
function documented(code, words, has_first,    i, c, level, parts, n, type, out, first) {
  n = 1
  parts[1] = ""
  for (i = 1; i <= length(code); ++i) {
    c = substr(code, i, 1)
    if (c ~ /[({<[]/) ++level
    if (c ~ /[)}>\]]/) --level
    if (c == "," && level == 0) parts[++n] = ""
    else parts[n] = parts[n] c
  }
  first = has_first ? "" : comment(words)
  if (n == 1 || code !~ /;$/ || code ~ /^(using|friend|template|class|struct|union|enum) /) return first code
  type = parts[1]
  sub(/ *=.*/, "", type)
  sub(/[A-Za-z0-9_]+$/, "", type)
  out = first parts[1]
  for (i = 2; i <= n; ++i) out = out "; " comment(words) type trim(parts[i])
  return out
}

# The declaration whose trailing comment may go on in the next line.
function flush_held() {
  if (!held) return
  if (held_starts) print documented(held_code, held_text, 0)
  else print held_code "  ///< " held_text
  while (--held > 0) print ""
  held = 0
}

# Whether `code` declares what a class's own words may describe.
function of_class(code) {
  if (name[depth] == "" || class_doc[depth] == "" || code ~ /\) (const )?override/) return 0
  return code ~ /operator\(\)\(/ || code ~ ("^(explicit |constexpr |TENET_HD )*" name[depth] "\\(")
}

# Follows braces and parentheses to know where declarations begin and which braces are scopes.
function advance(code,    i, c, head) {
  for (i = 1; i <= length(code); ++i) {
    c = substr(code, i, 1)
    if (c == "(") ++parens
    if (c == ")") --parens
    if (c == "{") {
      head = declaration
      while (sub(/^template <([^<>]|<([^<>]|<[^<>]*>)*>)*> */, "", head)) {}
      outer_parens[depth] = parens
      parens = 0
      kind[++depth] = "code"
      if (head ~ /^(class|struct|union|(inline )?namespace|extern ")/) kind[depth] = "scope"
      if (head ~ /^enum/) kind[depth] = "enum"
      name[depth] = ""
      if (match(head, /^(class|struct) [A-Za-z0-9_]+/)) {
        name[depth] = substr(head, RSTART, RLENGTH)
        sub(/.* /, "", name[depth])
        class_doc[depth] = doc[depth - 1]
        sub(/ *<br>.*/, "", class_doc[depth])
      }
      doc[depth] = declaration = ""
      fresh[depth] = kind[depth - 1] == "code" ? "" : head
      continue
    }
    if (c == "}") {
      head = kind[depth] == "code" ? "" : "type"
      parens = outer_parens[--depth]
      declaration = head == "type" || parens > 0 || substr(code, i + 1) ~ /^ *[;,)}]/ ? "..." : ""
      if (fresh[depth + 1] ~ /^((inline )?namespace|extern ")/) declaration = ""
      continue
    }
    if (parens == 0 && (c == ";" || (c == "," && kind[depth] == "enum"))) {
      declaration = ""
      continue
    }
    declaration = declaration c
  }
  declaration = trim(declaration) == "" ? "" : trim(declaration) " "
}

BEGIN {
  kind[0] = "scope"
  head_of_file = 1
}

dropped { next }

{
  line = masked($0)
  at = index(line, "//")
  code = trim(at ? substr(line, 1, at - 1) : line)
  text = at ? trim(substr($0, at + 2)) : ""
  visible = kind[depth] != "code"
}

# The last comment line of a declaration that is held.
held && code == "" && text != "" && text !~ /^\// {
  held_text = held_text " " text
  ++held
  next
}

{ flush_held() }

head_of_file && /^#pragma once/ {
  print "/// @file"
  head_of_file = 0
  next
}

# The end of the last namespace is behind us: specialisations.
depth == 0 && code ~ /^template </ { dropped = 1; next }

line ~ /^ *\/\/\// {
  if (!collecting) { doc[depth] = ""; used[depth] = 0 }
  collecting = 1
  words = text == "/" ? "<br>" : trim(substr(text, 2))
  example = substr($0, at + 3) ~ /^     /
  if (!example) doc[depth] = trim(doc[depth] " " words)
  print
  next
}

{ collecting = 0 }

code == "" {
  if (text == "") doc[depth] = ""
  print
  next
}

code ~ /^#/ || !visible {
  print
  if (code !~ /^#/) advance(code)
  next
}

{
  starts = declaration == "" && code !~ /^[}):,]/
  if (code ~ /^(public|protected|private):/) {
    doc[depth] = ""
    print
    next
  }
  if (starts && code ~ /= (default|delete);$/ && (doc[depth] == "" || used[depth])) {
    print ""
    next
  }
  here = depth
  before = starts ? doc[here] : ""
  again = used[here]
  if (starts) used[here] = 1
  if (starts && before == "" && of_class(code)) {
    before = class_doc[here]
    again = 1
  }
  if (code ~ /\) (const )?(noexcept )?override/) before = ""
  if (code ~ /^(virtual )?~|^namespace |^friend (class|struct) /) before = ""
  original = trim(at ? substr($0, 1, at - 1) : $0)
  advance(code)
  ends = depth == here && code !~ /^}/ && (declaration == "" || kind[here] == "enum")
  if (text != "" && text !~ /^NOLINT/ && ends) {
    held = 1
    held_code = original
    held_text = text
    held_starts = starts
    next
  }
  if (before == "") print
  else print documented(original, before, !again)
}

END { flush_held() }
