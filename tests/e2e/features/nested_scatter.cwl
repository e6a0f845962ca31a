# A scattered step in a scattered subworkflow in a scattered subworkflow, with values from outside and links between.
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs:
  rows: {type: {type: array, items: {type: array, items: string}}, default: [[a, b], [], [c]]}
  mark: {type: string, default: m}
outputs:
  all: {type: {type: array, items: {type: array, items: string}}, outputSource: row/all}
  counts: {type: 'int[]', outputSource: row/number}
steps:
  row:
    scatter: row
    in: {row: rows, mark: mark}
    out: [all, number]
    run:
      class: Workflow
      inputs: {row: 'string[]', mark: string}
      outputs:
        all: {type: 'string[]', outputSource: cell/o}
        number: {type: int, outputSource: count/n}
      steps:
        cell:
          scatter: word
          in: {word: row, mark: mark}
          out: [o]
          run:
            class: Workflow
            inputs: {word: string, mark: string}
            outputs: {o: {type: string, outputSource: second/o}}
            steps:
              first: {run: join.cwl, in: {a: word, b: mark}, out: [o]}
              second:
                in: {a: first/o, b: word}
                out: [o]
                run:
                  class: ExpressionTool
                  inputs: {a: string, b: string}
                  outputs: {o: string}
                  expression: '$({o: inputs.a + inputs.b})'
        count:
          in: {words: cell/o}
          out: [n]
          run:
            class: ExpressionTool
            inputs: {words: 'string[]'}
            outputs: {n: int}
            expression: '$({n: inputs.words.length})'
