cwlVersion: v1.2
class: Workflow

label: Word counts, scattered and gathered
doc: |
  Counts the words of each text in a task of its own, then gathers the counts into one report.  The report is
  made by a workflow of two steps, nested into this one.

      spring.txt --> count --\
      summer.txt --> count ---+--> gather (rank --> total)
      winter.txt --> count --/

requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}

inputs:
  texts:
    label: Text files
    type: File[]
    default:
      - {class: File, location: texts/spring.txt}
      - {class: File, location: texts/summer.txt}
      - {class: File, location: texts/winter.txt}

steps:
  count:
    label: Count the words of each text
    run: count.cwl
    scatter: text
    in:
      text: texts
    out: [words]

  gather:
    label: Gather the counts
    run: report.cwl
    in:
      counts: count/words
    out: [report]

outputs:
  counts:
    label: The count of each text, in the order of the texts
    type: File[]
    outputSource: count/words
  report:
    label: All counts, greatest first, and their sum
    type: File
    outputSource: gather/report
