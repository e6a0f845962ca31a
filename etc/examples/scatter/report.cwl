cwlVersion: v1.2
class: Workflow

label: Report on word counts
doc: |
  Gathers the counts of single files into a ranking with a total.  Used as a step of scatter.cwl.

      rank --> total

inputs:
  counts:
    label: Files with one line each, number and name
    type: File[]

steps:
  rank:
    label: Sort the counts
    run: rank.cwl
    in:
      counts: counts
    out: [ranking]

  total:
    label: Add the total
    run: total.cwl
    in:
      ranking: rank/ranking
    out: [report]

outputs:
  report:
    label: The counts, greatest first, and their sum
    type: File
    outputSource: total/report
