cwlVersion: v1.2
class: CommandLineTool

label: Draw the mass-conservation log
doc: |
  Draws the greatest depth and the relative mass error over time.  Needs Python with matplotlib.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 512
  EnvVarRequirement:
    envDef:
      MPLCONFIGDIR: $(runtime.tmpdir)  # matplotlib keeps its font cache there

baseCommand: python3

inputs:
  script:
    doc: The plotter.
    type: File
    default: {class: File, location: plot_mass.py}
    inputBinding: {position: 0}
  log:
    doc: Log written by the solver.
    type: File
    inputBinding: {position: 1}
  plot_name:
    doc: Name of the picture.
    type: string
    default: mass.png
    inputBinding: {position: 2}

outputs:
  plot:
    type: File
    outputBinding: {glob: $(inputs.plot_name)}
