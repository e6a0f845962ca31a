cwlVersion: v1.2
class: CommandLineTool

label: Sort counts, greatest first
doc: Merges files of lines "number name" into one list that is sorted by number.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

baseCommand: [sort, --numeric-sort, --reverse]

inputs:
  counts:
    doc: Files with the counts.
    type: File[]
    inputBinding: {position: 1}

stdout: ranking.txt

outputs:
  ranking:
    type: stdout
