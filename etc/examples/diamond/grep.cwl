cwlVersion: v1.2
class: CommandLineTool

label: Find lines that match a pattern
doc: |
  Writes the matching lines with their line numbers.  A text without a match gives an empty file: grep then
  ends with exit code 1, which is not a failure here; 2 and above are.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

baseCommand: [grep, --line-number]
successCodes: [0, 1]

inputs:
  pattern:
    doc: Basic regular expression.
    type: string
    inputBinding: {position: 1, prefix: -e}
  text:
    doc: File to search.
    type: File
    inputBinding: {position: 2}
  output_name:
    doc: Name of the file for the matching lines.
    type: string
    default: matches.txt

stdout: $(inputs.output_name)

outputs:
  matches:
    type: stdout
