cwlVersion: v1.2
class: CommandLineTool

label: Solve the dam break
doc: |
  Follows the waves of a circular dam break in a closed basin (2-D shallow-water equations), draws the
  water every few time steps, and logs how well its mass is conserved.  Needs Python with numpy and pillow.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 512

baseCommand: python3

inputs:
  script:
    doc: The solver.
    type: File
    default: {class: File, location: dam_break.py}
    inputBinding: {position: 0}
  grid:
    doc: Cells along each side of the basin.
    type: int
    default: 128
    inputBinding: {position: 1, prefix: --grid}
  steps:
    doc: Number of time steps.
    type: int
    default: 400
    inputBinding: {position: 1, prefix: --steps}
  frame_every:
    doc: Time steps from one frame to the next.
    type: int
    default: 4
    inputBinding: {position: 1, prefix: --every}
  pixels:
    doc: Side of a frame, an even number.
    type: int
    default: 320
    inputBinding: {position: 1, prefix: --pixels}

arguments:
  - {position: 2, prefix: --frames, valueFrom: frames}
  - {position: 2, prefix: --log, valueFrom: mass.csv}

outputs:
  frames:
    doc: The pictures graph00000.png, graph00001.png, ...
    type: Directory
    outputBinding: {glob: frames}
  log:
    doc: One line per time step, with its time, mass, relative mass error and greatest depth.
    type: File
    outputBinding: {glob: mass.csv}
