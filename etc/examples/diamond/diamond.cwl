cwlVersion: v1.2
class: Workflow

label: Diamond of cat, grep, grep and tar
doc: |
  Joins some texts, searches the result for two patterns at the same time, and packs both findings.

            /--> grep_a --\
      cat -<               >--> tar
            \--> grep_b --/

inputs:
  texts:
    label: Text files to join
    type: File[]
    default:
      - {class: File, location: lorem.txt}
      - {class: File, location: ipsum.txt}
  pattern_a:
    label: First pattern to look for
    type: string
    default: bee
  pattern_b:
    label: Second pattern to look for
    type: string
    default: flower

steps:
  cat:
    label: Join the texts
    run: cat.cwl
    in:
      texts: texts
    out: [joined]

  grep_a:
    label: Look for the first pattern
    run: grep.cwl
    in:
      text: cat/joined
      pattern: pattern_a
      output_name: {default: matches_a.txt}
    out: [matches]

  grep_b:
    label: Look for the second pattern
    run: grep.cwl
    in:
      text: cat/joined
      pattern: pattern_b
      output_name: {default: matches_b.txt}
    out: [matches]

  tar:
    label: Pack what was found
    run: tar.cwl
    in:
      first: grep_a/matches
      second: grep_b/matches
      archive_name: {default: matches.tar.gz}
    out: [archive]

outputs:
  archive:
    label: Archive with matches_a.txt and matches_b.txt
    type: File
    outputSource: tar/archive
