cwlVersion: v1.2
class: CommandLineTool

label: Concatenate files
doc: Writes the given text files one after the other into a single file.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

baseCommand: cat

inputs:
  texts:
    doc: Files to join, in this order.
    type: File[]
    inputBinding: {position: 1}
  output_name:
    doc: Name of the joined file.
    type: string
    default: joined.txt

stdout: $(inputs.output_name)

outputs:
  joined:
    type: stdout
