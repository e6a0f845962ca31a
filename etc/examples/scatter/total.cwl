cwlVersion: v1.2
class: CommandLineTool

label: Add a total to a list of counts
doc: Copies lines "number name" and adds a last line with the sum of the numbers.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

baseCommand: awk

arguments:
  - '{ sum += $1; print } END { print sum + 0, "total" }'

inputs:
  ranking:
    doc: List of counts.
    type: File
    inputBinding: {position: 1}

stdout: report.txt

outputs:
  report:
    type: stdout
