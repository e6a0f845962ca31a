cwlVersion: v1.2
class: CommandLineTool

label: Count the words of a file
doc: Reads a text from standard input and writes one line, its number of words and its name.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

inputs:
  text:
    doc: File whose words are counted.
    type: File

baseCommand: awk

arguments:
  - {prefix: -v, valueFrom: name=$(inputs.text.basename)}
  - '{ words += NF } END { print words + 0, name }'

stdin: $(inputs.text.path)
stdout: $(inputs.text.nameroot).words

outputs:
  words:
    type: stdout
