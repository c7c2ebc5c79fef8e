r"""Pictures of results: one function per kind of result, and `plot` that knows which. No numbers of its own.

Every function draws on `ax` (on new axes if that is None), labels what it draws, returns the axes and shows nothing. A
legend is added on new axes only, and kept up to date when more is drawn on them: whoever brings axes combines drawings and
places one legend for all of them. Extra keywords go to matplotlib and override color, label and so on. What is predicted is
dashed, and black unless there are several, or a pale band; what is measured is coloured and solid. Where several functions
share axes, labels say in what they differ. Unless an interval is given, functions that extrapolate steeply leave the frame
beside the data rather than flatten them. Colours are those of Okabe & Ito (2008), told apart with
every kind of colour blindness; text and lines of a figure are dimensionless unless the data have units.
"""

from splinebias.plots.bands import plot_band as plot_band
from splinebias.plots.bands import plot_fluctuations as plot_fluctuations
from splinebias.plots.bands import plot_start_process as plot_start_process
from splinebias.plots.files import save_figure as save_figure
from splinebias.plots.functions import plot_ensemble as plot_ensemble
from splinebias.plots.functions import plot_minimum_norm as plot_minimum_norm
from splinebias.plots.functions import plot_network_norm as plot_network_norm
from splinebias.plots.functions import plot_prediction as plot_prediction
from splinebias.plots.functions import plot_report as plot_report
from splinebias.plots.functions import plot_restored as plot_restored
from splinebias.plots.functions import plot_sparse_limit as plot_sparse_limit
from splinebias.plots.functions import plot_training as plot_training
from splinebias.plots.measures import plot_adaptive_measures as plot_adaptive_measures
from splinebias.plots.measures import plot_agreement as plot_agreement
from splinebias.plots.measures import plot_alignment_margin as plot_alignment_margin
from splinebias.plots.measures import plot_box_comparison as plot_box_comparison
from splinebias.plots.measures import plot_comparison as plot_comparison
from splinebias.plots.measures import plot_points_band as plot_points_band
from splinebias.plots.measures import plot_required_width as plot_required_width
from splinebias.plots.measures import plot_selection as plot_selection
from splinebias.plots.parts import plot_curvature_penalty as plot_curvature_penalty
from splinebias.plots.parts import plot_diagnosis as plot_diagnosis
from splinebias.plots.parts import plot_laziness as plot_laziness
from splinebias.plots.paths import plot_alignment as plot_alignment
from splinebias.plots.paths import plot_path as plot_path
from splinebias.plots.paths import plot_weight_decay_path as plot_weight_decay_path
from splinebias.plots.pictures import html_of as html_of
from splinebias.plots.pictures import plot as plot
from splinebias.plots.regimes import plot_bias_kernel as plot_bias_kernel
from splinebias.plots.regimes import plot_condensation as plot_condensation
from splinebias.plots.regimes import plot_large_bias as plot_large_bias
from splinebias.plots.regimes import plot_large_bias_widths as plot_large_bias_widths
from splinebias.plots.regimes import plot_orientations as plot_orientations
from splinebias.plots.studies import plot_errors as plot_errors
from splinebias.plots.studies import plot_grid as plot_grid
from splinebias.plots.studies import plot_inverse_root as plot_inverse_root
from splinebias.plots.studies import plot_penalties as plot_penalties
from splinebias.plots.studies import plot_predicted as plot_predicted
from splinebias.plots.studies import plot_study as plot_study
from splinebias.plots.style import BLACK as BLACK
from splinebias.plots.style import BLUE as BLUE
from splinebias.plots.style import GREEN as GREEN
from splinebias.plots.style import OKABE_ITO as OKABE_ITO
from splinebias.plots.style import ORANGE as ORANGE
from splinebias.plots.style import PURPLE as PURPLE
from splinebias.plots.style import SKY as SKY
from splinebias.plots.style import VERMILLION as VERMILLION
from splinebias.plots.style import YELLOW as YELLOW
